"""The claim of a class's due time, in the one transaction that holds the job's row.

What another node has just started is seen there, and what died is taken over, in django-cron's log too.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Max, Q

from ..models import CronJob, CronRun
from . import announce, cron_log
from .claims import lock, runs_of, words_of
from .class_schedule import Last
from .classes import ClassJob
from .decision import Decision
from .lease import ALIVE, Outcome, jobs, patiently, runs
from .transactions import brief_transaction

_SET_BACK = timedelta(hours=1)
"""A clock that is set back by less makes no run due again; what started later still never was."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a class that was looked at."""

    due: bool
    """Whether it was to be run now."""
    run: CronRun | None
    """Claimed, and to be run by this node."""
    holder: CronRun | None
    """The run of another that is in the way."""
    look_at: datetime | None
    """When to look again, None for never. Runs ask for earlier looks in their own rows."""


def claim(
    job: ClassJob,
    *,
    force: bool = False,
    begin: bool = True,
    dry_run: bool = False,
    room: int | None = None,
) -> Verdict:
    """Look whether the job is due, and claim its due time for this node if nobody else runs it.

    ``force`` claims a run for this moment, due or not. Without ``begin`` whoever runs it begins its
    lease. ``dry_run`` changes nothing. ``room`` is as for functions. Raise django.db.Error where the
    database is away.
    """
    while (decision := patiently(lambda: _decide(job, force, begin, dry_run, room))) is None:
        introduce(job)
    if dry_run:
        return replace(decision.verdict, run=None)
    announce.died(job, decision.died)
    return decision.verdict


def introduce(job: ClassJob) -> None:
    """Make a job known to the database, and its schedule as the code has it now."""
    words, rows = words_of(job), jobs().filter(name=job.name)
    if not rows.exists():
        patiently(lambda: _insert(job, words))
    patiently(lambda: rows.exclude(schedule=words).update(schedule=words))


def _insert(job: ClassJob, words: str) -> None:
    known = runs().filter(job=job.name)  # where a row was deleted, its history goes on
    tokens = known.aggregate(last=Max("token"), started=Max("token", filter=~Q(node="")))
    row = CronJob(
        name=job.name, schedule=words, token=tokens["last"] or 0, started=tokens["started"] or 0
    )
    jobs().bulk_create([row], ignore_conflicts=True)


def _decide(
    job: ClassJob, force: bool, begin: bool, dry_run: bool, room: int | None
) -> "ClassDecision | None":
    """Return the decision, None where the job has no row yet."""
    with brief_transaction():
        row = lock([job]).get(job.name)
        if row is None:
            return None
        decision = ClassDecision(job, row, runs_of([row]).get(job.name, []), begin, room)
        decision.decide(force)
        if not dry_run:
            decision.save()
            for run in decision.died:
                cron_log.end(job, run, run.end, f"{run.error}\n", succeeded=False)
    return decision


class ClassDecision(Decision):
    """What becomes of a class's due time."""

    _job: ClassJob
    verdict: Verdict

    def decide(self, force: bool) -> None:
        """Take over what died, else claim what is due."""
        self.bury_the_dead()
        self.retry()
        last = self._last()
        slot = None
        if force or not self._row.paused:
            self.take_up_queue()
            slot = None if self.claimed else self._slot(last, force)
        is_free = self._job.overlap == "allow" or not self.is_busy
        if slot is not None and is_free:
            self.take(self.add(slot, Outcome.QUEUED, attempt=self._attempt(slot, force)))
        for run in self.claimed:
            self._row.slot = run.slot
        as_if_started = bool(self.claimed) or slot is not None or self._row.paused
        self.verdict = Verdict(
            due=bool(self.claimed) or slot is not None,
            run=self.claimed[0] if self.claimed else None,
            holder=None if self.claimed or is_free else self._holder(),
            look_at=self._next_due(Last(self._row.now, failed=False) if as_if_started else last),
        )

    def _holder(self) -> CronRun:
        return next(run for run in self._runs if run.outcome in ALIVE)

    def _next_due(self, last: Last | None) -> datetime | None:
        return next(self._job.schedule.upcoming(self._row.now, last), None)

    def _last(self) -> Last | None:
        """Return the last run by our history or, for what that does not know of, django-cron's log.

        A run whose row there is gone, or was changed, never was: so an operator makes a job due.
        """
        now = self._row.now
        ours = [
            Last(self._began(run), failed=run.outcome in (Outcome.FAILED, Outcome.DIED))
            for run in self._runs
            if run.token == self._row.started
            and (run.start or run.expires)
            and self._began(run) < now + _SET_BACK
            and (run.outcome in ALIVE or cron_log.has_row(self._job, run))
        ]
        theirs = cron_log.last_run(self._job, until=now)
        return max([*ours, *filter(None, [theirs])], key=lambda last: last.start, default=None)

    def _began(self, run: CronRun) -> datetime:
        began: datetime = run.start or run.expires - self._to_begin  # the time of its claim
        return began

    def _slot(self, last: Last | None, force: bool) -> datetime | None:
        """Return the slot that is due, None if none is."""
        now, schedule = self._row.now, self._job.schedule
        if force:
            return now
        if not schedule.is_day(now) or schedule.is_resting(now, last):
            return None
        return schedule.by_interval(now, last) or self._time_of_day()

    def _time_of_day(self) -> datetime | None:
        """Return the one of today's times that waits for a run: the one tried least, or the first."""
        times = self._job.schedule.times_come(self._row.now)
        if not times:
            return None
        tries = dict.fromkeys(times, 0)
        for run in runs().filter(job=self._job.name, slot__in=list(times)):
            if run.outcome in (Outcome.FAILED, Outcome.DIED):
                tries[run.slot] += 1
            elif run.outcome != Outcome.SUCCESS or cron_log.has_row(self._job, run):
                times.pop(run.slot, None)
        done = cron_log.times_done(self._job, since=self._job.schedule.midnight(self._row.now))
        waiting = [slot for slot, time in times.items() if time not in done]
        return min(waiting, key=lambda slot: (tries[slot], slot), default=None)

    def _attempt(self, slot: datetime, force: bool) -> int:
        if not force and self._job.schedule.text_of(slot) is None:
            return 1  # a slot of an interval is for one run: a second one is refused
        tries = runs().filter(job=self._job.name, slot__in=[slot]).aggregate(last=Max("attempt"))
        return (tries["last"] or 0) + 1
