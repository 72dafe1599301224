"""What the command line and the admin show of periodic jobs: how each stands, and what its runs were."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import Min, OuterRef, Subquery

from ..backends import process_options
from ..exceptions import UnknownCronJob
from ..models import CronJob, CronRun
from . import announce
from .claims import introduce
from .class_schedule import Last
from .clock import now
from .decision import next_start
from .jobs import PeriodicJob, all_jobs
from .lease import ALIVE, Outcome, database, jobs, runs
from .site_jobs import AnyJob, find_known, known_jobs

_NEXT = 5
"""Times to come that are shown of each job."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job, or a slot that was skipped or missed; what ``crons history`` prints."""

    job: str
    slot: datetime
    node: str
    start: datetime | None
    end: datetime | None
    outcome: str
    error: str

    @classmethod
    def of(cls, run: CronRun) -> "Run":
        """Return what is shown of a row."""
        return cls(run.job, run.slot, run.node, run.start, run.end, run.outcome, run.error)


@dataclass(frozen=True, slots=True)
class JobState:
    """How one job stands."""

    job: str
    kind: str
    """"function", or "class" for one of CRON_CLASSES."""
    schedule: str
    """In words."""
    state: str
    """"disabled" in the code, "paused", "running", "late" (no node started a slot) or "waiting"."""
    next: list[datetime]
    """The slots to come, five at most."""
    last: Run | None
    """The last run that started."""


def job_states() -> list[JobState]:
    """Return how each job stands that the code has now, in the order of the names."""
    introduce(all_jobs())
    moment = now(database())
    rows = {row.name: row for row in jobs()}
    last = _last_runs()
    return [_state_of(job, rows.get(job.name), last.get(job.name), moment) for job in known_jobs()]


def job_state(name: str) -> JobState:
    """Return how one job stands. Raise UnknownCronJob."""
    job = require(name)
    return next(state for state in job_states() if state.job == job.name)


def history(job: str | None = None, limit: int | None = None) -> Iterator[Run]:
    """Yield the runs of a job, or of all, the newest first."""
    found = runs() if job is None else runs().filter(job=job)
    yield from map(Run.of, found.order_by("-id")[:limit])


def name_in_history(name: str) -> str:
    """Return a job's name, also of one that only the history has. Raise UnknownCronJob."""
    return name if runs().filter(job=name).exists() else require(name).name


def require(name: str) -> AnyJob:
    """Return the job of this name, or of a class's dotted path. Raise UnknownCronJob."""
    job = find_known(name)
    if job is None:
        near = difflib.get_close_matches(name, [job.name for job in known_jobs()])
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownCronJob(f"No periodic job is named {name!r}.{hint}")
    return job


def late_jobs() -> list[tuple[str, datetime]]:
    """Return the jobs of which a slot has come that no node has started, and since when."""
    moment = now(database())
    rows = {row.name: row for row in jobs()}
    claimed = runs().filter(outcome=Outcome.CLAIMED, slot__lt=moment - _late_after())
    stuck = dict(claimed.values_list("job").annotate(first=Min("slot")))
    found = []
    for job in all_jobs():
        row = rows.get(job.name)
        slot = stuck.get(job.name) or (row and _late_since(job, row, moment))
        if slot:
            found.append((job.name, slot))
    return found


def find_late() -> list[tuple[str, datetime]]:
    """Return the jobs that are late, and announce each slot of theirs, once over all nodes.

    Any of them can make this check, one that runs no jobs too.
    """
    found = late_jobs()
    for name, slot in found:
        if jobs().filter(name=name).exclude(late__gte=slot).update(late=slot):
            announce.never_started(name, slot)
    return found


def _state_of(job: AnyJob, row: CronJob | None, last: CronRun | None, moment: datetime) -> JobState:
    state = _state(job, row, last, moment)
    rests = state == "disabled" or (row is not None and row.paused)
    return JobState(
        job=job.name,
        kind="function" if isinstance(job, PeriodicJob) else "class",
        schedule=job.schedule.in_words(),
        state=state,
        next=[] if rests else list(islice(_upcoming(job, last, moment), _NEXT)),
        last=None if last is None else Run.of(last),
    )


def _state(job: AnyJob, row: CronJob | None, last: CronRun | None, moment: datetime) -> str:
    if isinstance(job, PeriodicJob) and not job.enabled:
        return "disabled"
    if last is not None and last.outcome in ALIVE:
        return "running"
    if row is not None and row.paused:
        return "paused"
    if row is not None and isinstance(job, PeriodicJob) and _late_since(job, row, moment):
        return "late"
    return "waiting"


def _upcoming(job: AnyJob, last: CronRun | None, moment: datetime) -> Iterator[datetime]:
    if isinstance(job, PeriodicJob):
        return job.schedule.after(moment)
    failed = last is not None and last.outcome in (Outcome.FAILED, Outcome.DIED)
    return job.schedule.upcoming(moment, Last(last.start, failed=failed) if last else None)


def _late_since(job: PeriodicJob, row: CronJob, moment: datetime) -> datetime | None:
    """Return the first slot that should have been started long ago, None without one."""
    if row.paused or not job.enabled or row.slot is None:
        return None
    start = next_start(job, row.slot)
    if start is None or moment - start <= _late_after():
        return None
    return next(job.schedule.after(row.slot))


def _late_after() -> timedelta:
    return timedelta(seconds=process_options().CRON_LATE)


def _last_runs() -> dict[str, CronRun]:
    started = runs().filter(job=OuterRef("name"), start__isnull=False).order_by("-token")
    found = jobs().annotate(last=Subquery(started.values("pk")[:1])).values_list("last", flat=True)
    return {run.job: run for run in runs().filter(pk__in=[key for key in found if key])}
