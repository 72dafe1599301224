"""The process that ticks: it looks what is due, claims it and hands it to the spooler.

Between slots a tick is one small query a second. It wakes at the next slot's time by the database's
clock, whatever this machine's says.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import Error, connections

from ..children import LOOK
from ..exceptions import SpoolerError
from ..executors.file import FileExecutor
from ..instants import EPOCH
from ..models import CronRun
from ..orphans import signal_on_death_of_parent
from ..own import CRON_QUEUE
from ..spool.directory import ALL_QUEUES, Spool
from ..spool.listing import count
from . import announce, claims, class_claims, history, overview, periodic
from .classes import ClassJob
from .clock import DatabaseNow
from .jobs import PeriodicJob
from .lease import PATIENCE, Outcome, database, node, runs
from .site_jobs import AnyJob, known_jobs

logger = logging.getLogger("django_spooler")

TICK = 1.0
"""Seconds between two looks at the database."""

_SHORTEST = 0.005
"""Seconds between two looks at least."""

GIVE_WAY = timedelta(seconds=0.25)
"""How long a node with no process free leaves a slot to the others."""

_FULL_PAUSE = 0.05
"""Seconds between two looks meanwhile: a process may have become free here."""

_AT_A_TIME = 50
"""Jobs that are decided on in one transaction: the first of many start while others are claimed."""

_SAME_ERROR = 60.0
"""Seconds after which the same error is logged again."""

_ROUND = 60.0
"""Seconds between two looks for what is late, and for what is too old."""

_TO_LEAVE = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Ticker:
    """Claims the due slots of the site's jobs for one node."""

    def __init__(self, spool: Spool, *, parent: int, announcements: int, most: int) -> None:
        """Write a byte to the descriptor ``announcements`` for each look that found something.

        ``most`` is how many runs this node can have at a time.
        """
        self._spool = spool
        self._parent = parent
        self._most = most
        self._announcements = announcements
        self._executor = FileExecutor(spool.directory)
        self._jobs = {job.name: job for job in known_jobs()}
        self._starts: dict[str, datetime] = {}
        """When each job has to be looked at next."""
        self._knows = False
        """Whether the database knows the jobs."""
        self._ran = set(self._jobs)
        self._goes_on_at: float | None = None
        self._next_round = 0.0
        self._complaint = ("", 0.0)

    def run(self) -> None:
        """Tick until told to leave; then give back what was claimed and has not started."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_TO_LEAVE, LOOK})
        signal_on_death_of_parent(signal.SIGTERM)
        pause = 0.0
        while os.getppid() == self._parent and not self._is_told_to_leave(pause):
            pause = self._tick_unless_away()
        self._give_back()

    def _is_told_to_leave(self, pause: float) -> bool:
        """Wait, but look at once where a run has ended: another may wait for it."""
        heard = signal.sigtimedwait({*_TO_LEAVE, LOOK}, pause)
        return heard is not None and heard.si_signo != LOOK

    def _tick_unless_away(self) -> float:
        """Return the seconds until the next tick."""
        try:
            return TICK if self._is_to_wait() else self._tick()
        except (Error, SpoolerError) as error:
            self._complain(f"Periodic jobs wait: {error}")
            connections.close_all()
            self._goes_on_at = time.monotonic() + PATIENCE
            return TICK

    def _is_to_wait(self) -> bool:
        if self._goes_on_at is not None:
            claims.look()  # while it fails, it is not the time yet
            if time.monotonic() < self._goes_on_at:
                return True
            self._goes_on_at = None
        return bool({ALL_QUEUES, CRON_QUEUE} & self._spool.paused())

    def _tick(self) -> float:
        if not self._knows:
            claims.introduce(_functions(self._jobs.values()))
            self._starts = dict.fromkeys(self._jobs, EPOCH)
            self._knows = True
        moment, look_at = claims.look()
        looked_at = time.monotonic()
        room = self._room()
        names = self._due(moment, room)
        if look_at is not None and look_at <= moment:
            names |= self._to_look_at(moment, room) & set(self._jobs)
        if names:
            self._decide([self._jobs[name] for name in sorted(names)], moment, room)
        self._make_round()
        return max(_SHORTEST, self._pause(moment, look_at) - (time.monotonic() - looked_at))

    def _room(self) -> int:
        """Return for how many runs more there is a process."""
        taken = (
            count(self._spool, state, self._most, CRON_QUEUE) for state in ("ready", "running")
        )
        return max(0, self._most - sum(taken))

    def _due(self, moment: datetime, room: int) -> set[str]:
        """Return the jobs whose time has come; those there is no room for a little later."""
        due = sorted((start, name) for name, start in self._starts.items() if start <= moment)
        late = moment - GIVE_WAY
        return {name for place, (start, name) in enumerate(due) if place < room or start <= late}

    def _to_look_at(self, moment: datetime, room: int) -> set[str]:
        if not room:
            return claims.to_look_at(moment - GIVE_WAY)
        return claims.to_look_at(moment) | claims.to_begin(moment, room)

    def _pause(self, moment: datetime, look_at: datetime | None) -> float:
        """Return the seconds from the last look to the next."""
        if any(start <= moment for start in self._starts.values()):
            return _FULL_PAUSE
        times = [*self._starts.values(), *([look_at] if look_at else ())]
        waits: list[float] = [(at - moment).total_seconds() for at in times if at > moment]
        return min([TICK, *waits])

    def _decide(self, looked_for: list[AnyJob], moment: datetime, room: int) -> None:
        self._decide_on_functions(_functions(looked_for), moment, room)
        for job in looked_for:
            if isinstance(job, ClassJob):
                verdict = class_claims.claim(job, begin=False, room=room)
                self._hand_over([] if verdict.run is None else [verdict.run])
                self._look_again(job, verdict.look_at)

    def _decide_on_functions(
        self, looked_for: list[PeriodicJob], moment: datetime, room: int
    ) -> None:
        """Claim what is still to be claimed: another node may have been faster."""
        _, due = claims.candidates(looked_for)
        for begin in range(0, len(due), _AT_A_TIME):
            some = due[begin : begin + _AT_A_TIME]
            found = claims.claim(some, room=room)
            self._hand_over(found.claimed)
            for job in some:
                announce.decided(job, found)
        for job in looked_for:
            self._look_again(job, _next_start(job, moment) if job.enabled else None)

    def _look_again(self, job: AnyJob, moment: datetime | None) -> None:
        if moment is None:
            self._starts.pop(job.name, None)
        else:
            self._starts[job.name] = moment

    def _hand_over(self, claimed: list[CronRun]) -> None:
        for run in claimed:
            self._ran.add(run.job)
            try:
                periodic.hand_over(self._jobs[run.job], run, self._executor)
            except SpoolerError as error:
                logger.error("Periodic job %s is left to other nodes: %s", run.job, error)
        if claimed:
            self._announce()

    def _announce(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then enough are unread
            os.write(self._announcements, b".")

    def _make_round(self) -> None:
        if time.monotonic() >= self._next_round:
            self._next_round = time.monotonic() + _ROUND
            overview.find_late()
            history.tidy(self._ran)
            self._ran.clear()

    def _give_back(self) -> None:
        """Let other nodes start at once what this one claimed and will not start before it is back."""
        mine = runs().filter(outcome=Outcome.CLAIMED, node=node())
        try:
            mine.update(expires=DatabaseNow())
        except Error as error:
            logger.warning("Claimed runs are not given back before their lease ends: %s", error)
        connections[database()].close()

    def _complain(self, complaint: str) -> None:
        before, at = self._complaint
        if complaint != before or time.monotonic() - at > _SAME_ERROR:
            self._complaint = (complaint, time.monotonic())
            logger.error(complaint)


def _functions(jobs: Iterable[AnyJob]) -> list[PeriodicJob]:
    return [job for job in jobs if isinstance(job, PeriodicJob)]


def _next_start(job: PeriodicJob, moment: datetime) -> datetime | None:
    """Return when the first slot starts that does so later than ``moment``."""
    for slot in job.schedule.after(moment - timedelta(seconds=job.jitter)):
        if (start := slot + job.delay(slot)) > moment:
            return start
    return None
