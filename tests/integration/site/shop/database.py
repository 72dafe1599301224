"""What a test asks about the database: which connection a process has."""

from django.db import connection

from .models import Order

_SESSION = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
    "sqlite": "SELECT NULL",
}


def session():
    """Return the server's number for this process's connection; SQLite has no server, so None."""
    with connection.cursor() as cursor:
        cursor.execute(_SESSION[connection.vendor])
        return cursor.fetchone()[0]


def look():
    """Return which connection this process has, beside the one opened at import, and what in it."""
    from . import early

    was_open, in_transaction = connection.connection is not None, connection.in_atomic_block
    number = session()
    return {
        "was_open": was_open,
        "in_transaction": in_transaction,
        "session": number,
        "inherited": connection.connection is early.opened,
        "early_session": early.number,
        "early_pid": early.pid,
        "orders": list(Order.objects.values_list("number", flat=True)),
    }
