"""A library of another author, that takes uWSGI's only hook for itself as each of them does."""

import uwsgi
from mysite.events import record

MARK = b"foreign_value"


def handle(variables):
    """Run what has the library's mark; what has not is dropped, as such libraries do."""
    if MARK in variables:
        value = variables[MARK].decode()
        record("foreign", value=value)
        return uwsgi.SPOOL_RETRY if value == "again" else uwsgi.SPOOL_OK
    record("foreign_dropped", keys=sorted(map(repr, variables)))
    return uwsgi.SPOOL_OK


uwsgi.spooler = handle


def send(value, **options):
    """Spool a call."""
    options = {name.encode(): str(option).encode() for name, option in options.items()}
    uwsgi.spool({MARK: value.encode(), **options})
