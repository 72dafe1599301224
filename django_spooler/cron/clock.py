"""The one clock that all nodes go by, the database's: what their own clocks say changes nothing."""

import math
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from ..instants import InstantField, from_microseconds, to_microseconds

_POSTGRESQL = "CAST(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000000 AS BIGINT)"
_MYSQL = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_UPTIMES = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - pg_postmaster_start_time())",
    "mysql": "SHOW GLOBAL STATUS LIKE 'Uptime'",
}


class DatabaseNow(models.Func):
    """The moment, and a number of seconds more, at which the database runs the statement.

    SQLite has no clock of its own and its nodes share a machine: there it is ``timezone.now()``.
    """

    output_field = InstantField()

    def __init__(self, more: float = 0.0) -> None:
        super().__init__()
        self._more = round(more * 1_000_000)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Give this machine's clock as Django has it; tests may freeze it."""
        return "%s", [to_microseconds(timezone.now()) + self._more]

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Give the server's clock; inside a transaction it goes on."""
        return f"({_POSTGRESQL} + %s)", [self._more]

    def as_mysql(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Give the server's clock, whatever time zone the session has."""
        return f"({_MYSQL} + %s)", [self._more]


def now(database: str) -> datetime:
    """Return the time by the clock of a database, an alias of DATABASES."""
    connection = connections[database]
    if connection.vendor == "sqlite":
        return from_microseconds(to_microseconds(timezone.now()))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_POSTGRESQL if connection.vendor == 'postgresql' else _MYSQL}")
        return from_microseconds(cursor.fetchone()[0])


def uptime(database: str) -> float:
    """Return for how many seconds the server of a database has been up; SQLite has none."""
    connection = connections[database]
    if connection.vendor == "sqlite":
        return math.inf
    with connection.cursor() as cursor:
        cursor.execute(_UPTIMES[connection.vendor])
        return float(cursor.fetchone()[-1])
