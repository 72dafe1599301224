"""What a test asks about the database: which connection, and what a transaction did."""

from django.db import connection, transaction
from mysite.events import record

from .models import Order


def session():
    """Return the server's number for this process's connection; SQLite has no server, so None."""
    query = {
        "postgresql": "SELECT pg_backend_pid()",
        "mysql": "SELECT connection_id()",
        "sqlite": "SELECT NULL",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def look():
    """Return which connection this process has, beside the one opened at import."""
    from . import early

    was_open = connection.connection is not None
    number = session()
    return {
        "was_open": was_open,
        "inherited": connection.connection is early.opened,
        "session": number,
        "early_session": early.number,
    }


def in_a_transaction(task, tag, *, fails):
    """Enqueue within ``atomic`` and record that its end is about to come."""
    try:
        with transaction.atomic():
            Order.objects.create(number=tag)
            task.enqueue(tag)
            record("about_to_end", tag=tag)
            if fails:
                raise _RolledBackError
    except _RolledBackError:
        return False
    return True


class _RolledBackError(Exception):
    pass
