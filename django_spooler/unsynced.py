"""Ends of tasks that a database has committed and need not have on its disk yet.

To wait for the disk takes longer than many a task. So where many end in a row, PostgreSQL is waited for
once in INTERVAL only, which brings all that was committed before to the disk too
(https://www.postgresql.org/docs/current/wal-async-commit.html). A server that crashes in between has
forgotten some ends, and has cut the connection: what was sent on that one is written again on the next.
"""

import logging
import time
from collections import deque
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("django_spooler")

INTERVAL = 0.05
"""Seconds between two ends that wait for the disk."""

_MOST = 1000
"""Ends that are remembered while the database is away."""


class End(NamedTuple):
    """The end of a task, as a statement that may be run twice."""

    statement: str
    parameters: list[Any]


class Unsynced:
    """The latest ends that were sent over one of Django's connections."""

    def __init__(self) -> None:
        self._ends: deque[End] = deque(maxlen=_MOST)
        self._sent_on: object = None
        self._synced_at = 0.0

    def may_grow(self, connection: BaseDatabaseWrapper) -> bool:
        """Tell whether one more end need not wait; never where each task has its own connection."""
        is_kept = connection.settings_dict["CONN_MAX_AGE"] != 0
        return is_kept and time.monotonic() - self._synced_at < INTERVAL

    def add(self, end: End) -> None:
        """Remember an end that was not waited for, or could not be kept."""
        self._ends.append(end)

    def clear(self) -> None:
        """Forget all ends: the last one was waited for."""
        self._ends.clear()
        self._synced_at = time.monotonic()

    def write_again(self, connection: BaseDatabaseWrapper) -> None:
        """Write what was sent on another connection. Raise what says that this one fails too."""
        connection.ensure_connection()
        if connection.connection is self._sent_on:
            return
        while self._ends:
            end = self._ends[0]
            try:
                with connection.cursor() as cursor:
                    cursor.execute(*end)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                logger.exception("The end of a task could not be kept")
            self._ends.popleft()
        self._sent_on = connection.connection
