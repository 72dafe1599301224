"""One run of a function job, from its start to its end in the history."""

import logging
from contextlib import suppress
from traceback import format_exception

from ..exceptions import LeaseLost
from ..logs import in_words
from ..models import CronRun
from ..perform import clean_context
from ..timelimit import time_limit
from . import announce
from .decision import lease_of
from .heartbeat import Heartbeat
from .jobs import CronContext, PeriodicJob
from .lease import ERROR_LENGTH, Lease, Outcome, persistently

logger = logging.getLogger("django_spooler")

RETRY_PAUSE = 2.0
"""Seconds before the second attempt of a slot; doubles with each further one."""


def run(job: PeriodicJob, claimed: CronRun) -> BaseException | None:
    """Run a job for a slot that this process has claimed, and settle it.

    Return what the job raised. Raise LeaseLost where the run was taken over meanwhile: then nothing
    was settled, whatever the function did.
    """
    lease = Lease(claimed, lease_of(job))
    if claimed.outcome == Outcome.CLAIMED:
        lease.begin()
        claimed.outcome = Outcome.RUNNING
    with Heartbeat(lease) as heartbeat:
        announce.started(job, claimed)
        error = _call(job, claimed, heartbeat)
    claimed.outcome = Outcome.SUCCESS if error is None else Outcome.FAILED
    claimed.error = "" if error is None else "".join(format_exception(error))[-ERROR_LENGTH:]
    _settle(lease, look_in=_look_in(job, claimed, error))
    announce.finished(job, claimed, error)
    if isinstance(error, KeyboardInterrupt):
        raise error
    return error


def _settle(lease: Lease, *, look_in: float | None) -> None:
    """Write down how the run ended, however long the database is away: else it would run again."""
    run = lease.run
    try:
        persistently(
            lambda: lease.settle(run.outcome, run.error, look_in=look_in),
            f"The end of periodic job {run.job}",
        )
    except LeaseLost as lost:
        logger.error(in_words(lost))
        raise


def _call(job: PeriodicJob, claimed: CronRun, heartbeat: Heartbeat) -> BaseException | None:
    arguments = []
    if job.takes_context:
        arguments.append(
            CronContext(job.name, claimed.slot, claimed.attempt, lambda: heartbeat.lost)
        )
    try:
        with time_limit(job.timeout, job.name):
            clean_context().run(job.function, *arguments)
    except BaseException as error:
        with suppress(Exception):
            logger.error(
                "Periodic job %s failed for %s: %s",
                job.name,
                claimed.slot.isoformat(),
                in_words(error),
                exc_info=error,
            )
        return error
    return None


def _look_in(job: PeriodicJob, claimed: CronRun, error: BaseException | None) -> float | None:
    """Return in how many seconds somebody has to look at the job, None for nobody."""
    if error is not None and claimed.attempt < job.max_attempts:
        return float(RETRY_PAUSE * 2 ** (claimed.attempt - 1))
    has_queue = job.overlap == "queue" or job.catch_up == "all" or job.max_attempts > 1
    return 0.0 if has_queue else None
