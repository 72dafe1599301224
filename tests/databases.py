"""The database the tests run on: ``DATABASE`` is sqlite (the default), postgresql or mariadb.

Where a server is and who we are there is told by its own variables: PGHOST, PGPORT, PGUSER and
PGPASSWORD, or MYSQL_UNIX_PORT, MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER and MYSQL_PWD.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KIND = os.environ.get("DATABASE", "sqlite")


def database(name: str) -> dict[str, Any]:
    """Return the entry of DATABASES for a database of this name; SQLite takes it as a path."""
    return _ENTRIES[KIND](name)


@contextlib.contextmanager
def empty_database(directory: Path, name: str) -> Iterator[dict[str, Any]]:
    """Make a database that other processes can use too; give its entry of DATABASES."""
    if KIND == "sqlite":
        yield database(str(directory / "db.sqlite3"))
        return
    from django.db import connection  # of a process that has settings

    quoted = connection.ops.quote_name(name)
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
        cursor.execute(f"CREATE DATABASE {quoted}")
    yield database(name)
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {quoted}")


def _sqlite(name: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name}


def _postgresql(name: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name}


def _mariadb(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": name,
        "HOST": os.environ.get("MYSQL_HOST", ""),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
    }


_ENTRIES = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}
