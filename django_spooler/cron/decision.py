"""What becomes of one job's runs and slots, in the transaction that holds its row.

Nothing here locks or asks the database; what was decided is written by ``save``.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from ..backends import process_options
from ..models import CronJob, CronRun
from .jobs import Job, PeriodicJob
from .lease import ALIVE, Outcome, database, jobs, node, obituary, runs, was_away_lately
from .plan import Fate, Known, Rules, fates
from .schedule import between, latest

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class _Clock(TypedDict):
        now: datetime

    Row = WithAnnotations[CronJob, _Clock]

MISSED_KEPT = 100
"""Slots in a row that nobody ran of which each is recorded; older ones leave no trace."""

CAUGHT_UP = 1000
"""Slots in a row that are caught up with at most."""

TRIES_AFTER_DEATH = 3
"""Times a slot is tried whose runs die, so that a job that kills its process comes to an end."""

TO_BEGIN = timedelta(seconds=3)
"""How long a claimed run may wait for a process of its node before any node with room takes it."""


def lease_of(job: Job) -> float:
    """Return the lease of a job in seconds."""
    return process_options().CRON_LEASE if job.lease is None else job.lease


def due_until(job: PeriodicJob, moment: datetime, after: datetime) -> list[datetime]:
    """Return the slots later than ``after`` that may start at ``moment``, chance's delay included."""
    limit = CAUGHT_UP if job.catch_up == "all" else MISSED_KEPT
    slots = between(job.schedule, after, moment, limit)[-limit:]
    while slots and slots[-1] + job.delay(slots[-1]) > moment:
        slots.pop()
    return slots


def next_start(job: PeriodicJob, after: datetime) -> datetime | None:
    """Return when the first slot later than ``after`` starts, None where there is none."""
    slot = next(job.schedule.after(after), None)
    return slot and slot + job.delay(slot)


_OUTCOMES = {
    Fate.RUN: Outcome.QUEUED,  # until it is taken, in the same decision
    Fate.QUEUE: Outcome.QUEUED,
    Fate.SKIP: Outcome.SKIPPED,
    Fate.MISS: Outcome.MISSED,
}


class Decision:
    """What becomes of one job's runs, in the transaction that holds its row."""

    def __init__(
        self,
        job: Job,
        row: "Row",
        open_runs: list[CronRun],
        begin: bool,
        room: int | None = None,
    ) -> None:
        self._job = job
        self._row = row
        self._runs = open_runs
        self._begin = begin
        self._room = room
        self._lease = timedelta(seconds=lease_of(job))
        self._to_begin = min(self._lease, TO_BEGIN)
        self.created: list[CronRun] = []
        self.claimed: list[CronRun] = []
        self.died: list[CronRun] = []
        self._changed: dict[int, CronRun] = {}
        self._before = self._state()

    @property
    def is_busy(self) -> bool:
        return any(run.outcome in ALIVE for run in self._runs)

    def bury_the_dead(self) -> None:
        """End runs whose lease is over, and let their slots be run again.

        Not while the database has just come back: those who could not renew theirs come first.
        """
        for run in self._runs:
            if run.outcome not in ALIVE or run.expires is None or run.expires > self._row.now:
                continue
            if run.outcome == Outcome.CLAIMED:  # it never began
                if self._room is None or len(self.claimed) < self._room:
                    self.take(run)
                continue
            if was_away_lately():
                return
            self._end(run, Outcome.DIED, obituary(run))
            self.died.append(run)
            if run.attempt < max(TRIES_AFTER_DEATH, self._job.max_attempts):
                self.add(run.slot, Outcome.QUEUED, attempt=run.attempt + 1)

    def retry(self) -> None:
        """Let a slot be run again whose run failed; forget who was only to be looked at."""
        for run in self._runs:
            if run.outcome in (*ALIVE, Outcome.QUEUED) or run.expires is None:
                continue
            if run.expires > self._row.now:
                continue
            run.expires = None
            self._changed[run.token] = run
            if run.outcome == Outcome.FAILED and run.attempt < self._job.max_attempts:
                self.add(run.slot, Outcome.QUEUED, attempt=run.attempt + 1)

    def take_up_queue(self) -> None:
        queue = sorted(
            (run for run in self._runs if run.outcome == Outcome.QUEUED),
            key=lambda run: (run.slot, run.attempt),
        )
        for run in queue:
            if self._job.overlap == "allow" or not self.is_busy:
                self.take(run)

    def take(self, run: CronRun) -> None:
        """Let a run begin here, or, where this process already has one of the job, elsewhere."""
        self._note_change(run)
        if self._begin and self.claimed:
            run.outcome, run.expires = Outcome.QUEUED, self._row.now
            return
        run.node = node()
        run.outcome = Outcome.RUNNING if self._begin else Outcome.CLAIMED
        run.start = self._row.now if self._begin else None
        run.expires = self._row.now + (self._lease if self._begin else self._to_begin)
        self._row.started = run.token
        self.claimed.append(run)

    def add(self, slot: datetime, outcome: str, *, attempt: int = 1) -> CronRun:
        """Make a run of the job's next token."""
        self._row.token += 1
        run = CronRun(
            job=self._job.name, slot=slot, attempt=attempt, token=self._row.token, outcome=outcome
        )
        self.created.append(run)
        self._runs.append(run)
        return run

    def _end(self, run: CronRun, outcome: str, error: str) -> None:
        self._note_change(run)
        run.outcome, run.error, run.expires = outcome, error, None
        run.end = self._row.now if run.start else None

    def _note_change(self, run: CronRun) -> None:
        if not any(run is created for created in self.created):
            self._changed[run.token] = run

    def of(self, outcome: str) -> list[CronRun]:
        """Return what was made with this outcome."""
        return [run for run in self.created if run.outcome == outcome]

    def save(self) -> None:
        """Write all of it."""
        self.save_known()
        runs().bulk_create(self.created)

    def save_known(self) -> None:
        """Write what changed of the job's row and of earlier runs."""
        for run in self._changed.values():
            run.save(
                using=database(),
                update_fields=["outcome", "error", "node", "start", "end", "expires"],
            )
        if self._state() != self._before:
            jobs().filter(name=self._row.name).update(**self._state())

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self._row, name) for name in ("slot", "token", "started")}


class SlotDecision(Decision):
    """What becomes of the slots of a function."""

    _job: PeriodicJob

    def decide(self, until: datetime | None) -> None:
        self.bury_the_dead()
        self.retry()
        if self._row.paused or self._row.slot is None:
            self._pass_by()
            return
        self.take_up_queue()
        moment = self._row.now if until is None else min(until, self._row.now)
        due = due_until(self._job, moment, self._row.slot)
        if not due:
            return
        for slot, fate in zip(due, self._fates(due), strict=True):
            run = self.add(slot, _OUTCOMES[fate])
            if fate is Fate.RUN:
                self.take(run)
        self._row.slot = due[-1]

    def _fates(self, due: list[datetime]) -> list[Fate]:
        started = [run for run in self._runs if run.token == self._row.started]
        return fates(
            due,
            Known(
                now=self._row.now,
                busy_since=started[0].start if started else None,
                busy_until=started[0].end if started else None,
                is_busy=self.is_busy,
                has_queue=any(run.outcome == Outcome.QUEUED for run in self._runs),
            ),
            Rules(
                self._job.overlap,
                self._job.catch_up,
                timedelta(seconds=self._job.catch_up_max_age),
            ),
        )

    def _pass_by(self) -> None:
        """Let the slots of a paused job go, and what waits for its turn."""
        for run in self._runs:
            if run.outcome == Outcome.QUEUED:
                self._end(run, Outcome.SKIPPED, "The job was paused.")
        self._row.slot = max(
            self._row.slot or self._row.now, latest(self._job.schedule, self._row.now)
        )
