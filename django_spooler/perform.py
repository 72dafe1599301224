"""One try of one task: whatever the function does becomes one of five outcomes."""

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from traceback import format_exception
from typing import Any, ClassVar

from asgiref.sync import async_to_sync
from django.utils import timezone, translation

from . import logs, results
from .compat import (
    AnyTask,
    BaseTaskBackend,
    TaskError,
    TaskResultStatus,
    is_heard,
    is_heard_by_site,
    normalize_json,
    task_finished,
    task_started,
)
from .conf import Options
from .context import SpoolerContext
from .exceptions import Retry, SpoolerError, StopSpooling, TaskRefused, TaskTimeout
from .logs import announce_failure, contained, in_words, log_try
from .message import Message
from .redaction import hiding
from .result import SpoolerResult, as_datetime
from .signals import task_failed, task_retried
from .surroundings import reopen_output
from .tasks import SPOOL_IGNORE, SPOOL_OK, SPOOL_RETRY, Kind, Policy, policy_of
from .timelimit import time_limit

JITTER = 0.25
"""The part of a pause that chance may add to it, so that tasks that failed together spread."""


@dataclass(frozen=True, slots=True)
class Done:
    """The task succeeded."""

    ended: ClassVar[str] = "succeeded"

    is_held: bool = False
    """Whether its result is kept with the start of the next task."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A ``spooler_forever`` task succeeded and runs again."""

    ended: ClassVar[str] = "succeeded"
    is_held: ClassVar[bool] = False

    delay: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Again:
    """The task failed, or asked for it, and gets another try."""

    ended: ClassVar[str] = "retried"
    is_held: ClassVar[bool] = False

    error: BaseException
    delay: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """The task raised one of its ``discard_on``: over, and nothing is kept."""

    ended: ClassVar[str] = "discarded"
    is_held: ClassVar[bool] = False

    error: BaseException


@dataclass(frozen=True, slots=True)
class Failed:
    """The task failed for good."""

    ended: ClassVar[str] = "failed"
    is_held: ClassVar[bool] = False

    error: BaseException
    reason: str


Outcome = Done | Repeat | Again | Discarded | Failed


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms a task is tried on: its own options and its backend's, taken together."""

    options: Options
    policy: Policy
    sender: type[BaseTaskBackend]
    """Who sends the signals about it."""
    keeps_value: bool
    """Whether somebody may ask for what it returns, which has to be JSON then."""
    is_async: bool
    """Whether the function is to be awaited."""

    @classmethod
    def of(cls, task: AnyTask, options: Options) -> "Terms":
        """Return the terms of a task whose backend has these options."""
        policy, sender = policy_of(task, options), type(task.get_backend())
        return cls(
            options,
            policy,
            sender,
            keeps_value=options.RESULTS is not None,
            is_async=iscoroutinefunction(task.func),
        )


@dataclass(slots=True)
class Trial:
    """One try of one task, in one process."""

    task: AnyTask
    message: Message
    terms: Terms
    worker_id: str
    number: int
    """1 for the first try."""
    began: float | None
    """Seconds since the epoch, None where nobody knows any more."""
    new_result: Callable[[], SpoolerResult]
    """Makes the result as it stands before this try."""
    was_started: bool = False
    """Whether it is a first try once more: the one before was cut."""
    may_hold: bool = False
    """Whether its end may be held until the next task starts."""
    leave_fork: Callable[[], None] = lambda: None
    """Ends this process if it is a child that the task forked and let return."""
    _result: SpoolerResult | None = None

    @property
    def result(self) -> SpoolerResult:
        """The result as far as it is known; made when first asked for, as of most tries nobody does."""
        if self._result is None:
            self._result = result = self.new_result()
            began = None if self.began is None else as_datetime(self.began)
            result.worker_ids.append(self.worker_id)
            result.set(
                status=TaskResultStatus.RUNNING,
                started_at=result.started_at or began,
                last_attempted_at=began,
            )
        return self._result


def clean_context() -> contextvars.Context:
    """Return a copy of this context with the site's own language and time zone."""
    context = contextvars.copy_context()
    context.run(translation.deactivate)
    context.run(timezone.deactivate)
    return context


def keep_start(trial: Trial) -> None:
    """Keep in the result, where there is one, that the task is tried."""
    if trial.terms.keeps_value:
        results.save(trial.result, trial.terms.options)


def perform(trial: Trial, context: contextvars.Context) -> Outcome:
    """Try the task once, in a copy of ``context``, and note in its result what came of it.

    Nothing the task raises escapes.
    """
    token = logs.begin(trial)
    try:
        _announce_start(trial)
        return _perform(trial, context)
    finally:
        logs.end(token)


def _perform(trial: Trial, context: contextvars.Context) -> Outcome:
    try:
        try:
            value = context.copy().run(_call, trial)
        finally:
            trial.leave_fork()  # what came of the task is its parent's to tell
        outcome = _conclude(trial.task, value)
    except BaseException as error:
        reopen_output()
        judged = _judge(trial.task, error, trial.terms.policy, trial.number)
        if not isinstance(judged, (Done, Repeat)):
            return _note_error(trial, judged)
        value, outcome = None, judged
    reopen_output()
    try:
        returned = None if value is None else normalize_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        if trial.terms.keeps_value:  # not tried again: its work is done, and would be done again
            reason = f"it ran, but what it returned cannot be kept: {in_words(error)}"
            return _note_error(trial, Failed(error, reason))
        returned = None
    log_try(logging.INFO, "succeeded", trial)
    return _note_success(trial, outcome, returned)


def _call(trial: Trial) -> Any:
    task, message, timeout = trial.task, trial.message, trial.terms.policy.timeout
    logs.enter(trial, trial.terms.options)
    args = message.args
    if task.takes_context:
        args = [SpoolerContext(task_result=trial.result), *args]
    if trial.terms.is_async:
        return async_to_sync(_call_async)(task, args, message.kwargs, timeout)
    if timeout is None:
        return task.func(*args, **message.kwargs)
    with time_limit(timeout, task.module_path):
        return task.func(*args, **message.kwargs)


async def _call_async(
    task: AnyTask, args: list[Any], kwargs: dict[str, Any], timeout: float | None
) -> Any:
    coroutine = task.func(*args, **kwargs)
    if timeout is None:
        return await coroutine
    # The coroutine may run in a thread of its own, where no signal reaches it.
    running = asyncio.ensure_future(coroutine)
    done, _ = await asyncio.wait([running], timeout=timeout)
    if done:
        return running.result()
    running.cancel()
    await asyncio.wait([running])
    raise TaskTimeout(f"{task.module_path} ran for more than its timeout of {timeout:g} s")


def _conclude(task: AnyTask, value: Any) -> Done | Repeat:
    """Return the outcome of a function that returned."""
    kind = getattr(task, "kind", Kind.TASK)
    if kind is Kind.FOREVER:
        return Repeat(getattr(task, "pause", 0.0))
    if kind is Kind.TASK or value == SPOOL_OK:
        return Done()
    if value == SPOOL_RETRY:
        raise Retry("the task returned SPOOL_RETRY")
    if value == SPOOL_IGNORE:
        raise TaskRefused("the task returned SPOOL_IGNORE: it is not for this site")
    raise SpoolerError(
        f"{task.module_path} returned {value!r}; a spooler_raw task returns SPOOL_OK, SPOOL_RETRY or"
        " SPOOL_IGNORE"
    )


def _judge(task: AnyTask, error: BaseException, policy: Policy, attempt: int) -> Outcome:
    """Return the outcome of a function that raised."""
    if isinstance(error, StopSpooling) and getattr(task, "kind", None) is Kind.FOREVER:
        return Done()
    if isinstance(error, policy.discard_on):
        return Discarded(error)
    text = in_words(error)
    if isinstance(error, TaskRefused):
        return Failed(error, text.partition(": ")[2])
    if not isinstance(error, (Retry, TaskTimeout, *policy.retry_on)):
        return Failed(error, f"{text} (not one of retry_on)")
    if policy.max_attempts is not None and attempt >= policy.max_attempts:
        return Failed(error, f"{text} (attempt {attempt} of {policy.max_attempts})")
    after = error.after if isinstance(error, Retry) else None
    return Again(error, backoff(policy, attempt) if after is None else after)


def backoff(policy: Policy, attempt: int) -> float:
    """Return the pause after a failed attempt in seconds, chance included.

    It doubles with each attempt: with a backoff of 2 s it is 2 s, 4 s, 8 s and so on, each up to a
    quarter longer. None is longer than ``backoff_max``: there each is up to a fifth shorter, though
    not than ``backoff``, so that tasks that failed together do not come back together for ever.
    """
    doubled: float = policy.backoff * 2 ** min(attempt - 1, 60)
    longest = min(doubled * (1 + JITTER), policy.backoff_max)
    shortest = max(longest / (1 + JITTER), min(policy.backoff, longest))
    return random.uniform(shortest, longest)


def _announce_start(trial: Trial) -> None:
    if trial.number == 1 and not trial.was_started and is_heard(task_started):
        with contained():
            task_started.send_robust(trial.terms.sender, task_result=trial.result)


def _note_success(trial: Trial, outcome: Done | Repeat, returned: Any) -> Outcome:
    terms, hears = trial.terms, isinstance(outcome, Done) and is_heard(task_finished)
    if not (terms.keeps_value or hears):
        return outcome  # nobody looks at the result any more
    if isinstance(outcome, Repeat):
        trial.result.set(status=TaskResultStatus.READY)
    else:
        trial.result.set(
            status=TaskResultStatus.SUCCESSFUL, finished_at=timezone.now(), _return_value=returned
        )
        if trial.may_hold and _hold_success(trial):
            outcome = Done(is_held=True)
    if terms.keeps_value and not outcome.is_held:
        results.save(trial.result, terms.options)
    if hears:
        with contained():
            task_finished.send_robust(terms.sender, task_result=trial.result)
    return outcome


def _hold_success(trial: Trial) -> bool:
    """Leave the result to the start of the next task; tell whether that can be.

    Not where the site hears of tasks: of the end somebody may look at the result, and the start would
    be told twice of one that is put back together with the next.
    """
    terms = trial.terms
    return (
        terms.keeps_value
        and not any(map(is_heard_by_site, (task_started, task_finished)))
        and results.hold(trial.result, terms.options)
    )


def _note_error(trial: Trial, outcome: Again | Discarded | Failed) -> Outcome:
    """Note a failed try. It is called while the error is handled, so receivers can log it."""
    error, result, terms = outcome.error, trial.result, trial.terms
    result.errors.append(as_task_error(error))
    if isinstance(outcome, Again):
        result.set(status=TaskResultStatus.READY)
        results.save(result, terms.options)
        what = f"failed, next try in {outcome.delay:.1f} s: {in_words(error)}"
        log_try(logging.WARNING, what, trial, error)
        announce_retry(trial, outcome)
        return outcome
    result.set(status=TaskResultStatus.FAILED, finished_at=timezone.now())
    results.save(result, terms.options)
    if isinstance(outcome, Failed):
        log_try(logging.ERROR, f"failed for good: {outcome.reason}", trial, error)
    else:
        log_try(logging.INFO, f"is discarded: {in_words(error)}", trial)
    announce_failure(
        error, trial.message, partial(task_finished.send_robust, terms.sender, task_result=result)
    )
    return outcome


def announce_retry(trial: Trial, outcome: Again) -> None:
    """Tell the receivers that a try failed and will be repeated."""
    with contained():
        task_retried.send_robust(
            trial.terms.sender,
            task_result=trial.result,
            exception=outcome.error,
            delay=outcome.delay,
        )


def announce_failed(trial: Trial, outcome: Failed) -> None:
    """Tell the receivers that a task stands in ``failed``; what it hides they are not told."""
    with contained():
        task_failed.send_robust(
            trial.terms.sender,
            task_result=trial.result,
            exception=outcome.error,
            reason=hiding(trial.message)(outcome.reason),
        )


def as_task_error(error: BaseException, stack: str = "") -> TaskError:
    """Return the error as a result keeps it; ``stack`` is one it does not have itself."""
    kind = type(error)
    own = "".join(format_exception(error))
    return TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback=f"{stack}\n\n{own}" if stack else own,
    )
