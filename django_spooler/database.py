"""Database connections in a process that was forked, and between two tasks."""

import logging
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from .exceptions import ManualTransaction

logger = logging.getLogger("django_spooler")

_inherited: list[BaseDatabaseWrapper] = []
"""Kept for ever: even a driver's destructor would speak on the other process's socket."""

_opened = settings.configured and any(
    wrapper.connection for wrapper in connections.all(initialized_only=True)
)
"""Whether this process, or the one it was forked from, ever opened a connection."""


@receiver(connection_created)
def _note_opened(**kwargs: Any) -> None:
    global _opened
    _opened = True


def drop_inherited() -> None:
    """Forget the connections opened before the fork, without a word to their servers."""
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection)
        del connections[connection.alias]


def in_transactions() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread that are in a transaction.

    Raise ManualTransaction where one is begun and ended by hand: Django calls nobody at its end.
    """
    if not _opened:
        return []
    found = connections.all(initialized_only=True)
    for connection in found:
        if _ends_by_hand(connection):
            raise ManualTransaction(
                f"The connection {connection.alias!r} is not in autocommit mode, so nobody tells"
                " when its transaction is committed. Enqueue in transaction.atomic() with autocommit"
                " on, or set ENQUEUE_ON_COMMIT to False to queue at once."
            )
    return [connection for connection in found if connection.in_atomic_block]


def depth() -> tuple[tuple[BaseDatabaseWrapper, int], ...] | None:
    """Return how deep in ``atomic()`` blocks this thread is, for each connection that is in any.

    None where a transaction is ended by hand. No two threads share a connection.
    """
    if not _opened:
        return ()
    found = connections.all(initialized_only=True)
    if any(map(_ends_by_hand, found)):
        return None
    return tuple(
        (connection, len(connection.savepoint_ids))
        for connection in found
        if connection.in_atomic_block
    )


def _ends_by_hand(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether no ``atomic()`` commits: hooks run late then, or never (``transaction.rollback``)."""
    if connection.connection is None:
        return False
    return not (connection.commit_on_exit if connection.in_atomic_block else connection.autocommit)


def refresh() -> bool:
    """Leave each open connection as a new request would find it; tell whether one was given up.

    A transaction that a task left open is rolled back with its connection; CONN_MAX_AGE is kept to.
    """
    if not _opened:
        return False  # a task without the database is spared the search
    is_any_given_up = False
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block or _is_manual(connection):
                is_any_given_up = True
                _abandon(connection)
            else:
                connection.close_if_unusable_or_obsolete()
        except Exception:  # a task's end must not hang on how its connection ends
            logger.exception("Database connection %r could not be closed", connection.alias)
            _inherited.append(connection)
            del connections[connection.alias]
        connection.queries_log.clear()
    return is_any_given_up


def _is_manual(connection: BaseDatabaseWrapper) -> bool:
    return connection.connection is not None and (
        connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
    )


def _abandon(connection: BaseDatabaseWrapper) -> None:
    if connection.connection is not None:
        connection._close()  # type: ignore[attr-defined]
        connection.connection = None  # whoever still has the wrapper cannot close it twice
    del connections[connection.alias]
