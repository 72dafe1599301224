"""One pass over the periodic jobs, in this process: what ``manage.py runcrons`` does for functions.

A job is claimed when its turn comes, not before: whatever waits behind a long one is any other
node's, or the next call's, to run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..exceptions import LeaseLost
from ..models import CronRun
from . import announce, claims, functions, history
from .jobs import PeriodicJob, all_jobs


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass did about one job: one report for each run, or one that there was none."""

    job: str
    due: bool = False
    """Whether it ran, or would have but for ``dry_run``."""
    run: CronRun | None = None
    error: BaseException | None = None
    """What the job raised, or LeaseLost: the run failed."""

    @property
    def mark(self) -> str:
        """The mark that django-cron prints: of success, of failure, or none for what is not due."""
        if self.error is not None:
            return "\N{HEAVY BALLOT X}"
        return "\N{HEAVY CHECK MARK}" if self.due else " "


def run_due(
    known: Sequence[PeriodicJob] | None = None, *, force: bool = False, dry_run: bool = False
) -> Iterator[Report]:
    """Run what is due and nobody else runs, one job after the other; yield a report as each ends.

    ``known`` are the jobs to look at, by default all.
    ``force`` runs every job now, whether due or not, unless it runs and must not overlap.
    ``dry_run`` runs none, and takes no slot. Raise django.db.Error where the database is away.
    """
    known = [job for job in (all_jobs() if known is None else known) if job.enabled]
    claims.introduce(known)
    moment, due = claims.candidates(known)
    if force:
        due = known
    for job in known:
        if dry_run or job not in due:
            yield Report(job.name, due=job in due)
    if dry_run:
        return
    for job in claims.shuffled(due):
        if force:
            yield run_now(job)
        else:
            yield from _run_slots(job, moment)
    history.tidy(job.name for job in due)


def run_now(job: PeriodicJob) -> Report:
    """Run a job for this moment, whether due or not; not where it runs and must not overlap."""
    return _run(job, claims.claim_now(job, begin=True))


def _run_slots(job: PeriodicJob, until: datetime) -> Iterator[Report]:
    """Run the slots of one job that are due at ``until``, the oldest first."""
    report = _run(job, _claim(job, until))
    yield report
    while report.due:
        report = _run(job, _claim(job, until))
        if report.due:
            yield report


def _claim(job: PeriodicJob, until: datetime) -> CronRun | None:
    found = claims.claim([job], until=until, begin=True)
    announce.decided(job, found)
    return found.claimed[0] if found.claimed else None


def _run(job: PeriodicJob, run: CronRun | None) -> Report:
    if run is None:
        return Report(job.name)
    try:
        return Report(job.name, due=True, run=run, error=functions.run(job, run))
    except LeaseLost as lost:
        return Report(job.name, due=True, run=run, error=lost)
