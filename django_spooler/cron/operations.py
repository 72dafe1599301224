"""What an operator does with a periodic job: pause it, resume it, run it now."""

from functools import partial

from django.db import transaction

from ..models import CronRun
from . import claims, manager, periodic
from .jobs import PeriodicJob
from .lease import database
from .overview import require
from .runner import Report, run_now
from .site_jobs import AnyJob, claim_now, introduce


def pause(name: str) -> bool:
    """Start no more runs of a job, on any node; False if it was paused. Raise UnknownCronJob.

    A run that goes on ends. The slots that come due meanwhile are let go.
    """
    return claims.set_paused(_introduced(name), True)


def resume(name: str) -> bool:
    """Let a job run again from its next slot on; False if it was not paused.

    Raise UnknownCronJob.
    """
    return claims.set_paused(_introduced(name), False)


def run_here(name: str) -> Report:
    """Run a job in this process, now, whether due or not. Raise UnknownCronJob.

    The report has no run where the job runs already and must not overlap.
    """
    job = _introduced(name)
    if isinstance(job, PeriodicJob):
        return run_now(job)
    run = claim_now(job)
    if run is None:
        return Report(job.name)
    return Report(job.name, due=True, run=run, error=manager.run_claimed(job, run))


def run_in_spooler(name: str) -> CronRun | None:
    """Hand a run of a job, due or not, to the spooler; None while it runs and must not overlap.

    In a transaction it is handed over once that is committed. Raise UnknownCronJob, or EnqueueError
    where the spooler does not accept it.
    """
    job = _introduced(name)
    run = claim_now(job)
    if run is not None:
        transaction.on_commit(partial(periodic.hand_over, job, run), using=database())
    return run


def _introduced(name: str) -> AnyJob:
    job = require(name)
    introduce(job)
    return job
