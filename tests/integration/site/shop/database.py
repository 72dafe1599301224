"""What a test asks about the database: which connection a process has."""

from django.db import connection


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
