"""Where a file goes when its try has ended.

An outcome is settled by one move. What follows it (signals, logs) cannot undo it.
"""

import contextlib
import logging
import os
import time
from dataclasses import replace
from typing import Any

from django.utils import timezone

from . import results
from .backend import signatures_required
from .calls import find_call
from .children import survives
from .compat import TaskResultStatus, task_finished
from .envelope import read
from .exceptions import TaskKilled, UnreadableTask
from .logs import contained, fields_of, in_words, log_try, told_once
from .message import Attempt, Message, encode_attempt, shortened
from .perform import (
    Again,
    Failed,
    Outcome,
    Repeat,
    Trial,
    announce_failed,
    announce_retry,
    as_task_error,
    backoff,
)
from .signals import task_failed
from .spool.counts import Counts
from .spool.directory import Spool
from .spool.files import is_gone
from .spool.names import TaskName, printable
from .spool.queue import Claimed

logger = logging.getLogger("django_spooler")

_SETTLE_PAUSE = 1.0
"""Seconds between two tries to move a file that the disk does not let go."""

_TROUBLE_ATTEMPTS = 3

_SMALL = 1 << 20
"""Bytes of a file that can do no harm to who reads it."""


def settle(spool: Spool, claimed: Claimed, trial: Trial, outcome: Outcome) -> None:
    """Move the file as the outcome asks, however long the disk takes to allow it.

    It stays claimed meanwhile, so nobody runs the task again.
    """
    if isinstance(outcome, (Again, Failed)):
        _note_attempt(claimed.path, _attempt_of(trial, outcome), trial)
    while True:
        try:
            _move(spool, claimed, trial, outcome)
            break
        except OSError:
            fields = fields_of(trial.result, trial.message)
            if is_gone(claimed.path):
                with contained():
                    logger.warning(
                        "%s was taken away while its task ran", claimed.path, extra=fields
                    )
                break
            with contained():
                logger.exception("%s is done but cannot be moved yet", claimed.path, extra=fields)
            time.sleep(_SETTLE_PAUSE)
    if isinstance(outcome, Failed):
        announce_failed(trial, outcome)


def _move(spool: Spool, claimed: Claimed, trial: Trial, outcome: Outcome) -> None:
    if isinstance(outcome, Again):
        later = replace(claimed.task_name, attempts=trial.number)
        spool.schedule(claimed.path, later, claimed.place, time.time() + outcome.delay)
    elif isinstance(outcome, Repeat):
        fresh = TaskName(claimed.task_name.base)
        spool.schedule(claimed.path, fresh, claimed.place, time.time() + outcome.delay)
    elif isinstance(outcome, Failed):
        spool.set_aside(
            claimed.path,
            shortened(outcome.reason),
            identifier=trial.message.id,
            task=trial.message.task,
            traceback=shortened(trial.result.errors[-1].traceback),
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
    announce_set_aside(claimed.name, reason, error, _fields_of(claimed, message))


def announce_set_aside(
    name: str,
    reason: str,
    error: UnreadableTask | None = None,
    fields: dict[str, Any] | None = None,
) -> None:
    """Log that a file which is no task of ours stands in ``failed``, and tell the receivers."""
    with contained():
        logger.error("%r was set aside: %s", name, printable(reason), extra=fields)
    with contained():
        task_failed.send_robust(Spool, task_result=None, exception=error, reason=reason)


def announce_cut(claimed: Claimed, stack: str) -> None:
    """Log that a task was cut by the end of its server; it is put back."""
    message = None
    if _is_safe_to_read(claimed.path):
        with contextlib.suppress(UnreadableTask, OSError):
            message, _ = read(claimed.path, signed=False)
    with contained():
        logger.warning(
            "%s was cut by a stop or reload, and runs again\n%s",
            claimed.task_name,
            stack,
            extra=_fields_of(claimed, message),
        )


def _fields_of(claimed: Claimed, message: Message | None) -> dict[str, Any]:
    """Return the attributes of a record about a file that is not run."""
    return {
        "task_id": message.id if message else None,
        "task_name": message.task if message else None,
        "attempt": claimed.task_name.attempts,
        "queue": claimed.place.queue,
        "duration": None,
        "request_id": message.request_id if message else None,
    }


def settle_killed(
    spool: Spool, claimed: Claimed, death: str, stack: str, worker: str, counts: Counts | None
) -> None:
    """Count an attempt for a task whose process died, and try it again later or set it aside.

    ``death`` tells how, as in "signal 9", and ``stack`` where, if that is known. A file that cannot
    be read is left to the next claim, but not for ever one that would kill this process too. Raise
    OSError, with the file still in its place, where it cannot be moved.
    """
    used_up = claimed.task_name.attempts
    if not _is_safe_to_read(claimed.path):
        settle_trouble(spool, claimed, TaskKilled(f"killed the process ({death})"))
        return
    try:
        call = find_call(*read(claimed.path, signed=signatures_required()))
    except UnreadableTask:
        spool.make_ready(
            claimed.path, replace(claimed.task_name, attempts=used_up + 1), claimed.place
        )
        return
    trial = call.trial(used_up, worker, began=None)
    result, policy = trial.result, trial.terms.policy
    error = TaskKilled(f"killed the process ({death})")
    result.errors.append(as_task_error(error, stack))
    outcome: Again | Failed
    if policy.max_attempts is not None and trial.number >= policy.max_attempts:
        outcome = Failed(error, f"{error} (attempt {trial.number} of {policy.max_attempts})")
        result.set(status=TaskResultStatus.FAILED, finished_at=timezone.now())
    else:
        outcome = Again(error, backoff(policy, trial.number))
        result.set(status=TaskResultStatus.READY)
    attempt = _attempt_of(trial, outcome)
    if not any(attempt.is_same(noted) for noted in call.attempts):  # else the move failed before
        _note_attempt(claimed.path, attempt, trial)
    _move(spool, claimed, trial, outcome)
    if counts is not None:
        counts.end(call.message.task, outcome.ended)
    log_try(logging.ERROR, str(error), trial)
    results.save(result, call.terms.options)
    if isinstance(outcome, Again):
        announce_retry(trial, outcome)
        return
    with contained(), told_once():
        task_finished.send_robust(call.terms.sender, task_result=result)
    announce_failed(trial, outcome)


def _is_safe_to_read(path: str) -> bool:
    """Tell whether this process lives through reading a file whose runner has died.

    Some megabytes of JSON can take gigabytes of memory. Raise OSError where it is gone.
    """

    def read_it() -> None:
        with contextlib.suppress(UnreadableTask, OSError):
            read(path, signed=False)

    return os.lstat(path).st_size <= _SMALL or survives(read_it)


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


def _attempt_of(trial: Trial, outcome: Again | Failed) -> Attempt:
    error = trial.result.errors[-1]
    return Attempt(
        attempt=trial.number,
        at=time.time(),
        exception=error.exception_class_path,
        error=in_words(outcome.error),
        traceback=error.traceback,
        worker=trial.worker_id,
    )


def _note_attempt(path: str, attempt: Attempt, trial: Trial) -> None:
    try:
        with open(path, "r+b") as file:  # "ab" would make one anew that was just taken away
            file.seek(0, os.SEEK_END)
            # On a line of its own: a full disk, or a death, may have cut the one before.
            file.write(b"\n" + encode_attempt(attempt))
    except OSError:
        fields = fields_of(trial.result, trial.message)
        with contained():
            logger.exception("The attempt could not be noted in %s", path, extra=fields)
