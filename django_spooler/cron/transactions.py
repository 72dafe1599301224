"""The transactions in which nodes decide: their locks outlast no node that is frozen in one.

Such a node says nothing, and its connection stands, so a server would keep its locks for ever. Here it
ends the connection of whoever leaves a transaction waiting; the node finds that when it wakes up, and
decides anew. On SQLite the lock is the frozen process's own, and nobody can end it.
"""

import contextlib
from collections.abc import Iterator

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .lease import database

IDLE_TIMEOUT = 2
"""Seconds for which one of these transactions may wait for its node's next statement."""

LOCK_TIMEOUT = 5
"""Seconds after which a statement that waits for other nodes gives up, to be tried again."""

_POSTGRESQL = (  # until the transaction ends
    f"SELECT set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT}s', true),"
    f" set_config('lock_timeout', '{LOCK_TIMEOUT}s', true)"
)
_MYSQL = {"innodb_lock_wait_timeout": LOCK_TIMEOUT, "wait_timeout": IDLE_TIMEOUT}
"""The limits of a session, as MySQL and MariaDB both have them."""


@contextlib.contextmanager
def brief_transaction() -> Iterator[None]:
    """Be a transaction of the runs' database that the server ends when nothing is heard of its node.

    Inside a transaction of the site the site's own limits hold.
    """
    connection = connections[database()]
    is_ours = not connection.in_atomic_block
    with contextlib.ExitStack() as stack:
        if is_ours and connection.vendor == "mysql":
            stack.enter_context(_session_limits(connection))
        stack.enter_context(transaction.atomic(using=connection.alias))
        if is_ours and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_POSTGRESQL)
        yield


@contextlib.contextmanager
def _session_limits(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Limit the session, which has no limits of one transaction; afterwards it is as it was."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'@@SESSION.{name}' for name in _MYSQL)}")
        before = dict(zip(_MYSQL, cursor.fetchone(), strict=True))
    _set(connection, _MYSQL)
    try:
        yield
    finally:
        # A connection that was ended took its session's settings with it.
        with contextlib.suppress(OperationalError, InterfaceError):
            _set(connection, before)


def _set(connection: BaseDatabaseWrapper, values: dict[str, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET " + ", ".join(f"SESSION {name} = {n}" for name, n in values.items()))
