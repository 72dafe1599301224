"""How updates of results get to a database that need not have each on its disk at once.

To wait for the disk takes longer than many a task. So on PostgreSQL a start does not wait, and where
many tasks end in a row, one end in INTERVAL does, which brings all that was committed before to the disk
too (https://www.postgresql.org/docs/current/wal-async-commit.html). A server that crashes in between has
forgotten some, and has cut the connection: ends that were sent on that one are written again on the
next. A start that is forgotten is no loss.

The way to the server and back takes as long as what it does there. So an end that need not wait goes
with the next start where one follows at once.
"""

import logging
import time
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, proxy

from django.db import DatabaseError, Error, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("django_spooler")

INTERVAL = 0.05
"""Seconds between two ends that wait for the disk."""

_MOST = 1000
"""Ends that are remembered while the database is away."""

_WITHOUT_WAITING = {
    "postgresql": " AND set_config('synchronous_commit', 'off', true) IS NOT NULL",
}
"""Has an UPDATE that is a transaction of its own not wait for the disk."""


_NOTHING = object()
"""Stands for a connection that is none, also not one that is closed."""


class Statement(NamedTuple):
    """An UPDATE of one row, and what is filled in."""

    row: str
    """The id of its result."""
    text: str
    parameters: list[Any]

    def followed_by(self, other: "Statement") -> "Statement":
        """Return both in one."""
        return Statement(
            other.row, f"{self.text}; {other.text}", [*self.parameters, *other.parameters]
        )


class Updates:
    """The updates of results over one of Django's connections."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = proxy(connection)  # it is the key this is kept by
        self._unsynced: deque[Statement] = deque(maxlen=_MOST)
        self._held: Statement | None = None
        self._latest: str | None = None
        self._sent_on: object = _NOTHING
        self._cursor: Any = None
        self._synced_at = 0.0

    @classmethod
    def over(cls, connection: BaseDatabaseWrapper) -> "Updates":
        """Return those over a connection, which each thread has its own of."""
        if connection not in _known:
            _known[connection] = cls(connection)
        return _known[connection]

    @classmethod
    def are_known(cls) -> bool:
        """Tell whether this process has had any."""
        return bool(_known)

    def has_latest(self, row: str) -> bool:
        """Tell whether the last update was of this row, and stands: its connection is the same yet."""
        return row == self._latest and self._connection.connection is self._sent_on

    def send(self, statement: Statement) -> None:
        """Send what may be forgotten, in one with the end that is held."""
        self._write_again()
        if not self._send_with_held(statement):
            self._execute(statement, waits=False)

    def hold(self, statement: Statement, again: Statement) -> bool:
        """Hold an end that need not wait until the next start is sent; tell whether that can be.

        Only PostgreSQL takes two statements at a time, and only with their values filled in here.
        Whoever holds one calls ``send_held`` if no start follows at once.
        """
        options = self._connection.settings_dict["OPTIONS"]
        can = (
            self._connection.vendor == "postgresql"
            and not options.get("server_side_binding")
            and self.has_latest(statement.row)
            and self._may_go_on()
            and self._commits_by_itself()
        )
        if can:
            self._held = statement
            self._unsynced.append(again)
        return can

    def send_held(self) -> None:
        """Send the end that is held, if one is. Where that fails it is logged."""
        held = self._held
        if held is None:
            return
        try:
            self._write_again()
            if self._held is not None:  # else it was written again already
                self._execute(held, waits=False)
        except Exception:
            self._take_all_for_lost()
            if self._close_if_cut() and self._writes_again():
                return
            logger.exception("The result of task id=%s could not be kept", held.row)
        finally:
            self._held = None

    def send_again(self) -> None:
        """Send the ends that did not arrive, or that a closed connection may have taken along.

        Where that fails it is left to the next update: that it failed was logged.
        """
        if self._unsynced and self._connection.connection is not self._sent_on:
            self._writes_again()

    def send_end(self, statement: Statement, again: Statement, *, waits: bool) -> None:
        """Send what must not be forgotten, and remember it as ``again`` until it is on the disk.

        It ``waits`` for that if it is to, and now and then.
        """
        waits = waits or not self._may_go_on()
        try:
            self._write_again()
            waited = self._execute(statement, waits=waits)
        except Error:
            self._unsynced.append(again)
            self._take_all_for_lost()
            if not self._close_if_cut():
                raise
            self._write_again()
            return
        if waited:
            self._unsynced.clear()
            self._synced_at = time.monotonic()
        else:
            self._unsynced.append(again)

    def _send_with_held(self, statement: Statement) -> bool:
        """Send the end that is held and then the statement; tell whether both arrived."""
        if self._held is None:
            return False
        try:
            self._execute(self._held.followed_by(statement), waits=False)
        except DatabaseError:  # it is one transaction, so neither did
            self.send_held()
            return False
        self._held = None
        return True

    def _may_go_on(self) -> bool:
        """Tell whether one more end need not wait; never where each task has its own connection."""
        is_kept = self._connection.settings_dict["CONN_MAX_AGE"] != 0
        return is_kept and time.monotonic() - self._synced_at < INTERVAL

    def _execute(self, statement: Statement, *, waits: bool) -> bool:
        """Run the statement; return whether its commit waits for the disk, as where it has to."""
        self._latest = None
        commits = self._commits_by_itself()
        suffix = ""
        if commits and not waits:
            suffix = _WITHOUT_WAITING.get(self._connection.vendor, "")
        self._run(statement.text + suffix, statement.parameters)
        if commits:
            self._latest = statement.row
        return not suffix

    def _run(self, text: str, parameters: list[Any]) -> None:
        """Run a statement, with one cursor for the life of a connection.

        To make one for each is a tenth of what a short task costs.
        """
        connection = self._connection
        wrapped = (
            connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
        )
        wrapped(self._cursor).execute(text, parameters)

    def _commits_by_itself(self) -> bool:
        """Tell whether a statement run now is a transaction of its own, and decides for no other."""
        return self._connection.get_autocommit() and not self._connection.in_atomic_block

    def _take_all_for_lost(self) -> None:
        """Have the next update write again what is remembered, even over the same connection."""
        self._latest, self._sent_on = None, _NOTHING

    def _close_if_cut(self) -> bool:
        """Close the connection if its server has; tell whether a new one may do better."""
        connection = self._connection
        if connection.in_atomic_block or connection.connection is None or connection.is_usable():
            return False
        with suppress(Error):  # a driver may refuse to close what is closed
            connection.close()
        return True

    def _writes_again(self) -> bool:
        """Tell whether what failed could be written now."""
        with suppress(Error):
            self._write_again()
            return True
        return False

    def _write_again(self) -> None:
        """Write what failed, or was sent on an earlier connection. Raise what says that it fails again."""
        self._connection.close_if_health_check_failed()
        self._connection.ensure_connection()
        if self._connection.connection is self._sent_on:
            return
        with self._connection.wrap_database_errors:
            self._cursor = self._connection.create_cursor()
        while self._unsynced:
            try:
                self._run(*self._unsynced[0][1:])
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                logger.exception("The end of a task could not be kept")
            self._unsynced.popleft()
        self._held = None  # it was among them
        self._sent_on = self._connection.connection


_known: WeakKeyDictionary[BaseDatabaseWrapper, Updates] = WeakKeyDictionary()
"""By Django's connection, which outlives those it opens."""
