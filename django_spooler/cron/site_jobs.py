"""All periodic jobs of the site: functions, and classes of django-cron."""

from datetime import datetime

from ..models import CronRun
from . import claims, class_claims
from .classes import ClassJob, class_jobs
from .jobs import PeriodicJob, all_jobs, find_job
from .lock import is_chosen

AnyJob = PeriodicJob | ClassJob


def known_jobs() -> list[AnyJob]:
    """Return the site's jobs, in the order of their names."""
    found: list[AnyJob] = [*all_jobs(), *_class_jobs()]
    return sorted(found, key=lambda job: job.name)


def find_known(name: str) -> AnyJob | None:
    """Return the job of this name, or of a class's dotted path; None if the site has none."""
    return find_job(name) or next(
        (job for job in _class_jobs() if name in (job.name, job.path)), None
    )


def _class_jobs() -> list[ClassJob]:
    """Return the jobs that are classes: none where the site has chosen another lock than ours."""
    return class_jobs() if is_chosen() else []


def introduce(job: AnyJob) -> None:
    """Make a job known to the database."""
    if isinstance(job, PeriodicJob):
        claims.introduce([job])
    else:
        class_claims.introduce(job)


def claim_now(job: AnyJob, slot: datetime | None = None) -> CronRun | None:
    """Claim a run of the job, due or not; None while it runs and must not overlap.

    It stands for this moment, or for the ``slot`` of a function that was run before. Whoever runs it
    begins its lease.
    """
    if isinstance(job, PeriodicJob):
        return claims.claim_now(job, slot=slot)
    return class_claims.claim(job, force=True, begin=False).run
