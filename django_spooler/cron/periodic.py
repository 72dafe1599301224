"""Periodic jobs as tasks of the spooler: from a claimed run to a file, and from there to its function.

The task of a job has the name of its function, so that what fails stands under it in ``failed``.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError

from .. import executors
from ..context import SpoolerContext
from ..exceptions import InvalidSpoolerTask, LeaseLost, SpoolerError
from ..executors import Executor
from ..models import CronRun
from ..own import CRON_QUEUE, own_submission, own_task
from ..tasks import SpoolerTask
from . import claims, functions, manager
from .jobs import PeriodicJob, all_jobs, note_problem
from .lease import Outcome, runs
from .notices import SENT
from .site_jobs import AnyJob, claim_now, find_known, known_jobs

logger = logging.getLogger("django_spooler")


def task_of(job: AnyJob) -> SpoolerTask[..., Any] | None:
    """Return the task that runs a job's claimed runs, None without a backend of ours.

    Raise InvalidSpoolerTask where another task has the name of its function or class.
    """
    timeout = _longest_timeout(job) if isinstance(job, PeriodicJob) else None
    return own_task(_function_of(job), takes_context=True, max_attempts=1, timeout=timeout)


def _longest_timeout(job: PeriodicJob) -> float | None:
    """Return the timeout of a function's task, None for none: all its jobs have the one task.

    Each run keeps its own job's timeout besides; after this one its process is ended.
    """
    timeouts = [other.timeout for other in all_jobs() if other.function is job.function]
    known = [timeout for timeout in timeouts if timeout is not None]
    return max(known, default=None) if len(known) == len(timeouts) else None


@functools.cache
def _function_of(job: AnyJob) -> Callable[[SpoolerContext, str, int], None]:
    """Return the task's function, under the name of the job's own."""

    def run_claimed(context: SpoolerContext, name: str, token: int) -> None:
        _run_claimed(context.task_result.id, name, token)

    named = job.function if isinstance(job, PeriodicJob) else job.cron_class
    functools.update_wrapper(run_claimed, named, updated=())
    del run_claimed.__wrapped__  # type: ignore[attr-defined]  # its arguments are others
    return run_claimed


def register_tasks() -> None:
    """Make the tasks of all jobs known, as every process needs them that reads a spool."""
    for job in known_jobs():
        try:
            task_of(job)
        except InvalidSpoolerTask as error:
            note_problem(job, str(error))
    for function in SENT:
        own_task(function)


def hand_over(job: AnyJob, run: CronRun, executor: Executor | None = None) -> None:
    """Give a claimed run to the spooler, by default on the way that a task takes from here.

    Raise SpoolerError where it is not accepted; the run is then any node's to take.
    """
    try:
        _put(job, run, executor)
    except SpoolerError:
        claims.release(run)
        raise


def _put(job: AnyJob, run: CronRun, executor: Executor | None) -> None:
    task = task_of(job)
    if task is None:
        raise SpoolerError(
            "No entry of TASKS uses django_spooler's backend. Set TASKS = {'default': {'BACKEND':"
            " 'django_spooler.backend.SpoolerBackend'}}."
        )
    call = own_submission(task, job.name, run.token, queue=CRON_QUEUE)
    chosen = executor or executors.choose(call.options, task.queue_name)
    chosen.put(call)
    chosen.finish(call)


def _run_claimed(task: str, name: str, token: int) -> None:
    try:
        error, is_last = _run(task, name, token)
    except LeaseLost as lost:
        logger.warning("%s", lost)
    else:
        if error is not None and is_last:
            raise error


def _run(task: str, name: str, token: int) -> tuple[BaseException | None, bool]:
    """Run a claimed run; return what its job raised, and whether it is not tried again."""
    job = find_known(name)
    run = None if job is None else _claimed(task, job, token)
    if job is None or run is None:
        logger.info("Run %d of periodic job %s is not to be started here", token, name)
        return None, False
    if isinstance(job, PeriodicJob):
        return functions.run(job, run), run.attempt >= job.max_attempts
    return manager.run_claimed(job, run), True


def _claimed(task: str, job: AnyJob, token: int) -> CronRun | None:
    """Return the run if it may start.

    Where this very task ran it and it failed, somebody has put the task back: then another run of its
    slot. A second task for the run, from a claim that was not begun in time, finds nothing to do.
    Raise SpoolerError where the job runs already and must not overlap.
    """
    try:
        run = runs().filter(job=job.name, token=token).first()
        if run is not None and (run.outcome, run.task) == (Outcome.FAILED, task):
            run = claim_now(job, run.slot)
            if run is None:
                raise SpoolerError(f"{job.name} runs already, and its runs must not overlap.")
    except (OperationalError, InterfaceError) as error:
        # The claim ends with its lease: then the run is claimed again.
        logger.error("Run %d of periodic job %s does not start: %s", token, job.name, error)
        return None
    if run is None or run.outcome != Outcome.CLAIMED:
        return None
    run.task = task
    return run
