"""Who runs a job, and until when. The database decides; no session holds a lock there.

A run lives as long as its lease is renewed. Its end, each renewal, and the burial of a run whose
lease is over are updates of a row that still says it is running: whichever comes second finds none.
So a node that was frozen cannot settle what another has taken over, and it hears of that. The row's
token counts up with each run of the job: it is the fence.

Nothing here needs a session of its own: a connection pooler in transaction mode will do.
"""

import logging
import math
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connections, router
from django.db.models import QuerySet

from ..exceptions import LeaseLost
from ..models import CronJob, CronRun
from .clock import DatabaseNow, uptime

T = TypeVar("T")

logger = logging.getLogger("django_spooler")

BUSY_TIMEOUT = 60.0
"""Seconds for which a statement that other nodes are in the way of is tried again."""

_BUSY_FOR_LONG = 4.0
"""Seconds after which the log tells that others are in the way."""

_BUSY = (
    "locked",
    "deadlock",
    "lock timeout",
    "lock wait timeout",
    "could not serialize",
    "record has changed",
)
"""What SQLite, PostgreSQL, MySQL and MariaDB say then."""

PATIENCE = 3.0
"""Seconds after the database was away in which no run is taken over: its owner has to find it first."""

_outage = {"last": -math.inf}
"""When this process last found the database away, by the monotonic clock."""

ERROR_LENGTH = 20_000
"""Characters of a traceback that the history keeps, the last ones."""

_AWAY_PAUSE = 1.0
"""Seconds between two tries to reach a database that is away."""

Outcome = CronRun.Outcome
ALIVE = (Outcome.CLAIMED, Outcome.RUNNING)
"""The outcomes of a run that holds its lease."""


def database() -> str:
    """Return the alias of the database that the runs are kept in, as the routers say."""
    return router.db_for_write(CronRun)


def runs() -> "QuerySet[CronRun]":
    """Return all runs, read where they are written: a replica is late."""
    return CronRun.objects.using(database())


def jobs() -> "QuerySet[CronJob]":
    """Return what is known of all jobs, read where it is written."""
    return CronJob.objects.using(database())


def node() -> str:
    """Return the name of this machine and this process, as the history shows it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def patiently(statement: Callable[[], T], alias: str | None = None) -> T:
    """Return what a statement or a transaction gives, tried again while other nodes are in its way.

    ``alias`` is of its database, by default of that of the runs. A connection that the server has
    closed meanwhile is opened anew. Raise OperationalError where others are in the way for
    BUSY_TIMEOUT, and where the database is away.
    """
    connection = connections[alias or database()]
    begun = time.monotonic()
    is_fresh = was_told = False
    while True:
        try:
            return statement()
        except (OperationalError, InterfaceError, InternalError) as error:
            if connection.in_atomic_block:
                raise
            if not any(words in str(error).lower() for words in _BUSY):
                if is_fresh:
                    _outage["last"] = time.monotonic()
                    raise
                is_fresh = True
                connection.close()
            elif time.monotonic() > begun + BUSY_TIMEOUT:
                raise
            elif time.monotonic() > begun + _BUSY_FOR_LONG and not was_told:
                was_told = True
                logger.warning(
                    "Periodic jobs wait for a lock that another connection to the database has: %s",
                    error,
                )
        time.sleep(random.uniform(0.005, 0.05))


def was_away_lately() -> bool:
    """Tell whether the database was away until a moment ago, as far as this process can know.

    Then leases may be over only because nobody could renew them.
    """
    return time.monotonic() - _outage["last"] < PATIENCE or uptime(database()) < PATIENCE


def persistently(write: Callable[[], T], what: str, alias: str | None = None) -> T:
    """Return what ``write`` gives, tried again for as long as its database is away.

    ``what`` is said of it meanwhile in the log. Raise what it raises for any other reason.
    """
    connection = connections[alias or database()]
    while True:
        try:
            return patiently(write, alias)
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block:
                raise
            logger.error("%s is not written down yet: %s", what, error)
            connection.close()
        time.sleep(_AWAY_PAUSE)


def storable(text: str) -> str:
    """Return text that every database can keep, whatever was in it."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a job, for as long as it is renewed."""

    run: CronRun
    seconds: float

    def begin(self) -> None:
        """Start a run that was claimed. Raise LeaseLost where that is no more ours to do."""
        asked = time.monotonic()
        self._update(
            "start",
            (Outcome.CLAIMED,),
            outcome=Outcome.RUNNING,
            node=node(),
            task=self.run.task,
            start=DatabaseNow(),
            expires=DatabaseNow(self.seconds),
        )
        # The lease counts from when the statement was sent; where that had to wait, it may be over.
        while time.monotonic() - asked > self.seconds / 2:
            asked = time.monotonic()
            self.renew()

    def renew(self) -> None:
        """Let the lease begin anew. Raise LeaseLost where another node has taken the job over."""
        self._update("renew", ALIVE, expires=DatabaseNow(self.seconds))

    def settle(self, outcome: str, error: str = "", *, look_in: float | None = None) -> None:
        """Write down how the run ended, by the database's clock.

        In ``look_in`` seconds somebody has to look at the job, None for nobody. Raise LeaseLost
        where another node has taken the job over: its run is what counts.
        """
        self._update(
            "settle",
            ALIVE,
            outcome=outcome,
            error=storable(error),
            end=DatabaseNow(),
            expires=None if look_in is None else DatabaseNow(look_in),
        )

    def _update(self, verb: str, outcomes: tuple[str, ...], **values: Any) -> None:
        # By its token, since MySQL tells no key of rows that were inserted together.
        mine = runs().filter(job=self.run.job, token=self.run.token, outcome__in=outcomes)
        if not patiently(lambda: mine.update(**values)):
            raise LeaseLost(
                f"{node()} cannot {verb} its run of {self.run.job!r} for"
                f" {self.run.slot.isoformat()}: it was not heard of for the {self.seconds:g} s of its"
                " lease, and the slot was given to another. If no process was frozen or killed, give"
                " the job a longer lease."
            )


def obituary(run: CronRun) -> str:
    """Return what the history says of a run whose lease is over."""
    return f"{run.node} was not heard of for the run's whole lease: it died, or was frozen."
