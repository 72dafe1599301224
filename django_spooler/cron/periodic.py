"""Periodic jobs as tasks of the spooler: from a claimed run to a file, and from there to its function.

The task of a job has the name of its function, so that what fails stands under it in ``failed``.
"""

import functools
import logging
import secrets
import time
from typing import Any

from ..exceptions import LeaseLost
from ..executors import Executor
from ..executors import Job as SpoolJob
from ..message import Message
from ..models import CronRun
from ..result import new_result
from ..tasks import SpoolerTask
from . import claims, functions
from .jobs import PeriodicJob, all_jobs, find_job
from .lease import Outcome, runs
from .own import own_task
from .ping import send_ping

logger = logging.getLogger("django_spooler")

QUEUE = "cron"
"""The queue of claimed runs. It needs no entry in QUEUES: nobody else enqueues to it."""


@functools.cache
def task_of(job: PeriodicJob) -> SpoolerTask[..., Any] | None:
    """Return the task that runs a job's claimed runs, None without a backend of ours."""

    @functools.wraps(job.function)
    def run_claimed(name: str, token: int) -> None:
        _run_claimed(name, token)

    del run_claimed.__wrapped__  # its arguments are others
    return own_task(run_claimed, max_attempts=1, timeout=job.timeout)


def register_tasks() -> None:
    """Make the tasks of all jobs known, as every process needs them that reads a spool."""
    for job in all_jobs():
        task_of(job)
    own_task(send_ping)


def enqueue(job: PeriodicJob, run: CronRun, executor: Executor) -> None:
    """Write the file of a claimed run. Raise EnqueueError where it cannot be accepted."""
    task = task_of(job)
    if task is None:
        raise LookupError("no entry of TASKS uses django_spooler's backend")
    message = Message(
        id=secrets.token_hex(16),
        task=task.module_path,
        args=[job.name, run.token],
        kwargs={},
        queue=QUEUE,
        priority=0,
        backend=task.backend,
        enqueued_at=time.time(),
        run_after=None,
    )
    backend = task.get_backend()
    executor.put(
        SpoolJob(task, message, new_result(task, message), backend.spooler_options)  # type: ignore[attr-defined]
    )


def _run_claimed(name: str, token: int) -> None:
    job = find_job(name)
    run = runs().filter(job=name, token=token).first()
    if job is None or run is None:
        logger.warning("Run %d of periodic job %s is not known any more", token, name)
        return
    if run.outcome == Outcome.FAILED:  # somebody asks for another try of what stood in failed
        run = claims.claim_now(job)
    if run is None or run.outcome != Outcome.CLAIMED:
        logger.info("Run %d of periodic job %s is not to be started here", token, name)
        return
    try:
        error = functions.run(job, run)
    except LeaseLost as lost:
        logger.warning("%s", lost)
        return
    if error is not None and run.attempt >= job.max_attempts:
        raise error
