"""The database the tests run on: ``DATABASE`` is sqlite (the default), postgresql or mariadb.

Where a server is and who we are there is told by its own variables: PGHOST, PGPORT, PGUSER and
PGPASSWORD, or MYSQL_UNIX_PORT, MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER and MYSQL_PWD.
"""

import os
from typing import Any

KIND = os.environ.get("DATABASE", "sqlite")


def database(name: str) -> dict[str, Any]:
    """Return the entry of DATABASES for a database of this name; SQLite takes it as a path."""
    return _ENTRIES[KIND](name)


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
