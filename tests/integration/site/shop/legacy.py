"""Tasks of uwsgidecorators, as a site has them that used the spooler before."""

import pickle

import uwsgi
from mysite.events import record, wait_at
from uwsgidecorators import spool, spoolforever, spoolraw


@spool
def legacy_spool(variables):
    record("legacy_spool", value=variables["value"])


@spool(pass_arguments=True)
def legacy_arguments(*args, **kwargs):
    record("legacy_arguments", args=args, kwargs=kwargs)


@spool
def legacy_gated(variables):
    record("legacy_gated", value=variables["value"])
    wait_at(variables["value"])


@spoolraw
def legacy_raw(variables):
    record("legacy_raw", value=variables["value"])
    return uwsgi.SPOOL_OK


@spoolforever
def legacy_forever(variables):
    record("legacy_forever", value=variables["value"])


def send(function, *args, **kwargs):
    """Spool a call of one of them."""
    globals()[function].spool(*args, **kwargs)


class Trap:
    """Tells when it is unpickled."""

    def __reduce__(self):
        return record, ("unpickled",)


def send_to_nobody(value):
    """Spool a call of a function that is gone, with arguments that must not be unpickled."""
    uwsgi.spool(
        {
            b"ud_spool_func": b"removed_long_ago",
            b"args": pickle.dumps((Trap(), value)),
            b"kwargs": pickle.dumps({}),
        }
    )
