"""One claimed file, from its bytes to its end; the same for uWSGI's spoolers and the plain worker.

A try becomes an outcome before anything is written, and settling moves the file as the outcome
asks. What follows a move (signals, logs) cannot undo it.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import IO, Any

from . import database, results
from .backends import options_of, signatures_required
from .compat import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    AnyTask,
    InvalidTask,
    TaskError,
    TaskResultStatus,
    task_finished,
)
from .conf import queue_problem
from .descriptors import Descriptors
from .envelope import read
from .exceptions import DamagedTask, TaskKilled, UnknownTask, UnreadableTask, UntrustedTask
from .message import Attempt, Message, encode_attempt, shortened
from .perform import (
    Again,
    Failed,
    Outcome,
    Repeat,
    Terms,
    as_task_error,
    backoff,
    clean_context,
    perform,
)
from .result import SpoolerResult, new_result
from .signals import task_failed
from .spool.directory import Spool
from .spool.files import is_gone, read_settled
from .spool.names import TaskName, printable
from .spool.place import Place, claimable
from .spool.queue import Claimed
from .tasks import find_task
from .timelimit import kill_after

logger = logging.getLogger("django_spooler")

_SETTLE_PAUSE = 1.0
"""Seconds between two tries to move a file that the disk does not let go."""

_TROUBLE_ATTEMPTS = 3


@dataclass(slots=True)
class Call:
    """A call that was read from a file and that this site has the task for."""

    message: Message
    attempts: list[Attempt]
    task: AnyTask
    terms: Terms

    def new_result(self, used_up: int) -> SpoolerResult:
        """Return the call's result as it stands after the attempts ``used_up``."""
        result = new_result(self.task, self.message)
        if not used_up:
            return result
        latest = {attempt.attempt: attempt for attempt in self.attempts}
        for number in range(1, used_up + 1):
            attempt = latest.get(number)
            result.worker_ids.append(attempt.worker if attempt else "unknown")
            if attempt:
                result.errors.append(
                    TaskError(exception_class_path=attempt.exception, traceback=attempt.traceback)
                )
        return result


class Consumer:
    """Runs claimed files and settles them, for one process."""

    def __init__(self, spool: Spool, worker_id: str, trace: IO[Any]) -> None:
        """Errors of the process's own end go to ``trace``, an open file."""
        self._spool = spool
        self._worker_id = worker_id
        self._trace = trace
        self._pid = os.getpid()
        self.descriptors = Descriptors()
        self._context = clean_context()
        # For the life of this consumer: no task changes its terms in a running process.
        self._find_task = lru_cache(maxsize=1024)(find_task_and_terms)

    def consume(self, claimed: Claimed) -> None:
        """Run one claimed task and settle its file.

        Raise StillWritten, leaving the file claimed, where its producer has not finished it.
        """
        try:
            message, attempts = read_settled(
                claimed.path, partial(read, signed=signatures_required())
            )
        except UnreadableTask as error:
            set_aside(self._spool, claimed, error)
            return
        try:
            _check_place(message, claimed.place)
            call = find_call(message, attempts, self._find_task)
        except (UnknownTask, UntrustedTask) as error:
            set_aside(self._spool, claimed, error, message)
            return
        result = call.new_result(claimed.task_name.attempts)
        outcome = self._perform(call, result)
        settle(self._spool, claimed, call, result, outcome, self._worker_id)

    def _perform(self, call: Call, result: SpoolerResult) -> Outcome:
        terms = call.terms
        timeout = terms.policy.timeout
        bound = (
            nullcontext()
            if timeout is None
            else kill_after(timeout + terms.options.TIMEOUT_GRACE, self._trace)
        )
        try:
            with bound:
                return perform(
                    call.task,
                    result,
                    terms,
                    worker_id=self._worker_id,
                    context=self._context,
                )
        finally:
            if os.getpid() != self._pid:
                os._exit(0)  # a child that the task forked and let return
            self.descriptors.check()
            database.refresh()


def adopt(spool: Spool, path: str) -> None:
    """Move a file of ours from the scanned directory to its place: it came through a socket.

    Raise DamagedTask, or StillWritten; set it aside where it is unreadable for another reason.
    """
    try:
        message, _ = read_settled(path, partial(read, signed=signatures_required()))
        place = _checked_place(message)
    except UnreadableTask as error:
        if isinstance(error, DamagedTask):
            raise
        reason = f"{type(error).__name__}: {error}"
        spool.set_aside(path, reason)
        announce_set_aside(os.path.basename(path), reason, error)
        return
    name = claimable(os.path.basename(path), place)
    if message.run_after is not None and message.run_after > time.time():
        spool.schedule(path, name, place, message.run_after)
    else:
        spool.make_ready(path, name, place)


def _checked_place(message: Message) -> Place:
    """Return the place a message asks for; it becomes a path, so nothing in it is believed."""
    if problem := queue_problem(message.queue):
        raise DamagedTask(problem)
    if not TASK_MIN_PRIORITY <= message.priority <= TASK_MAX_PRIORITY:
        raise DamagedTask(f"priority {message.priority} is out of range")
    return Place.of(message.queue, message.priority)


def _check_place(message: Message, place: Place) -> None:
    """Raise UntrustedTask where a signed message stands in another place than it was signed for."""
    if signatures_required() and place != Place.of(message.queue, message.priority):
        raise UntrustedTask(
            f"it stands in queue {place.queue!r} at priority {place.priority}, and was signed for"
            f" queue {message.queue!r} at priority {message.priority}"
        )


def find_task_and_terms(
    name: str, queue: str, priority: int, backend: str
) -> tuple[AnyTask, Terms]:
    """Return the task a message names, as it was enqueued. Raise UnknownTask."""
    task = find_task(name)
    if task is None:
        raise UnknownTask(
            f"{name} is no task of this site. If it was renamed or its app removed, deploy"
            " a module that has it and retry; else discard"
        )
    if (task.queue_name, task.priority) != (queue, priority):
        # The queue may have been taken out of the settings after the call was accepted.
        with suppress(InvalidTask):
            task = task.using(queue_name=queue, priority=priority)
    return task, Terms.of(task, options_of(backend))


def find_call(
    message: Message,
    attempts: list[Attempt],
    find: Callable[[str, str, int, str], tuple[AnyTask, Terms]] = find_task_and_terms,
) -> Call:
    """Return the call a message asks for. Raise UnknownTask for a task this site does not have."""
    task, terms = find(message.task, message.queue, message.priority, message.backend)
    return Call(message, attempts, task, terms)


def settle(
    spool: Spool, claimed: Claimed, call: Call, result: SpoolerResult, outcome: Outcome, worker: str
) -> None:
    """Move the file as the outcome asks, however long the disk takes to allow it.

    It stays claimed meanwhile, so nobody runs the task again.
    """
    if isinstance(outcome, (Again, Failed)):
        _note_attempt(claimed.path, _attempt_of(result, outcome, worker))
    while True:
        try:
            _move(spool, claimed, call, result, outcome)
            break
        except OSError:
            if is_gone(claimed.path):
                logger.warning("%s was taken away while its task ran", claimed.path)
                break
            logger.exception("%s is done but cannot be moved yet", claimed.path)
            time.sleep(_SETTLE_PAUSE)
    _announce_failure(call, result, outcome)


def _announce_failure(call: Call, result: SpoolerResult, outcome: Outcome) -> None:
    if isinstance(outcome, Failed):
        task_failed.send_robust(
            call.terms.sender,
            task_result=result,
            exception=outcome.error,
            reason=outcome.reason,
        )


def _move(
    spool: Spool, claimed: Claimed, call: Call, result: SpoolerResult, outcome: Outcome
) -> None:
    name = claimed.task_name
    if isinstance(outcome, Again):
        later = replace(name, attempts=result.attempts)
        spool.schedule(claimed.path, later, claimed.place, time.time() + outcome.delay)
    elif isinstance(outcome, Repeat):
        fresh = TaskName(name.base)
        spool.schedule(claimed.path, fresh, claimed.place, time.time() + outcome.delay)
    elif isinstance(outcome, Failed):
        spool.set_aside(
            claimed.path,
            shortened(outcome.reason),
            identifier=call.message.id,
            task=call.message.task,
            traceback=shortened(result.errors[-1].traceback),
            place=claimed.place,
            name=claimed.name,
        )
    else:
        os.unlink(claimed.path)


def set_aside(
    spool: Spool, claimed: Claimed, error: UnreadableTask, message: Message | None = None
) -> None:
    """Move a file that cannot be run to ``failed``, and say so."""
    reason = f"{type(error).__name__}: {error}"
    spool.set_aside(
        claimed.path,
        reason,
        identifier=message.id if message else None,
        task=message.task if message else None,
        place=claimed.place,
        name=claimed.name,
    )
    announce_set_aside(claimed.name, reason, error)


def announce_set_aside(name: str, reason: str, error: UnreadableTask | None = None) -> None:
    """Log that a file which is no task of ours stands in ``failed``, and tell the receivers."""
    logger.error("%r was set aside: %s", name, printable(reason))
    task_failed.send_robust(Consumer, task_result=None, exception=error, reason=reason)


def settle_killed(spool: Spool, claimed: Claimed, death: str, stack: str, worker: str) -> None:
    """Count an attempt for a task whose process died, and try it again later or set it aside.

    ``death`` tells how, as in "signal 9", and ``stack`` where, if that is known. A file that cannot
    be read is left to the next claim. Raise OSError, with the file still in its place, where it
    cannot be moved.
    """
    used_up = claimed.task_name.attempts
    try:
        call = find_call(*read(claimed.path, signed=signatures_required()))
    except UnreadableTask:
        spool.make_ready(
            claimed.path, replace(claimed.task_name, attempts=used_up + 1), claimed.place
        )
        return
    result = call.new_result(used_up)
    result.worker_ids.append(worker)
    error = TaskKilled(f"killed the process ({death})")
    policy = call.terms.policy
    result.errors.append(as_task_error(error, stack))
    outcome: Again | Failed
    if policy.max_attempts is not None and result.attempts >= policy.max_attempts:
        outcome = Failed(error, f"{error} (attempt {result.attempts} of {policy.max_attempts})")
        result.set(status=TaskResultStatus.FAILED)
    else:
        outcome = Again(error, backoff(policy, result.attempts))
    attempt = _attempt_of(result, outcome, worker)
    if not any(attempt.is_same(noted) for noted in call.attempts):  # else the move failed before
        _note_attempt(claimed.path, attempt)
    _move(spool, claimed, call, result, outcome)
    logger.error(
        "Task id=%s path=%s attempt=%d %s", result.id, call.message.task, result.attempts, error
    )
    results.save(result, call.terms.options)
    _announce_failure(call, result, outcome)
    if isinstance(outcome, Failed):
        task_finished.send_robust(call.terms.sender, task_result=result)


def settle_trouble(spool: Spool, claimed: Claimed, error: Exception) -> None:
    """Count an attempt for a file that an error of our own keeps from its task.

    It is tried again, since a new version may know better, and then stands in ``failed``.
    """
    attempts = claimed.task_name.attempts + 1
    if attempts >= _TROUBLE_ATTEMPTS:
        set_aside(spool, claimed, UnreadableTask(f"it could not be handled: {error!r}"))
    else:
        later = replace(claimed.task_name, attempts=attempts)
        spool.schedule(claimed.path, later, claimed.place, time.time() + _SETTLE_PAUSE)


def _attempt_of(result: SpoolerResult, outcome: Again | Failed, worker: str) -> Attempt:
    error = result.errors[-1]
    return Attempt(
        attempt=result.attempts,
        at=time.time(),
        exception=error.exception_class_path,
        error=f"{type(outcome.error).__name__}: {outcome.error}",
        traceback=error.traceback,
        worker=worker,
    )


def _note_attempt(path: str, attempt: Attempt) -> None:
    try:
        with open(path, "ab") as file:
            # On a line of its own: a full disk, or a death, may have cut the one before.
            file.write(b"\n" + encode_attempt(attempt))
    except OSError:
        logger.exception("The attempt could not be noted in %s", path)
