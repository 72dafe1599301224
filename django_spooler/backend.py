"""The task backend: what ``TASKS = {"default": {"BACKEND": ...}}`` names."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils import timezone

from . import bulk, executors, results
from .compat import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    AnyTask,
    AnyTaskResult,
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    backend_named,
    task_backends,
)
from .conf import Options, entry_problems, problems, queues_problems
from .exceptions import InvalidArguments, InvalidOptions, InvalidSpoolerTask
from .executors import Submission
from .handover import Handover
from .logs import current_request_id
from .message import Message, normalize_arguments
from .redaction import hidden_arguments
from .result import new_result
from .spool.names import new_id
from .tasks import SpoolerTask, option_problem, register, waits_for_commit

_VALID_KEPT = 1024
"""Tasks remembered as valid; ``using()`` makes a new one each time."""


class SpoolerBackend(BaseTaskBackend):
    """Queues tasks as files of a uWSGI spooler."""

    task_class = SpoolerTask
    supports_defer = True
    supports_async_task = True
    supports_priority = True
    is_for_all_threads = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        """Take an entry of TASKS; what is wrong with it is told by the checks, and by its first use.

        Raising here would end ``manage.py check`` before it could say so.
        """
        self._wrong = [
            *entry_problems(params),
            *queues_problems(params.get("QUEUES", ())),
            *problems(params.get("OPTIONS", {})),
        ]
        super().__init__(alias, {**params, "QUEUES": [], "OPTIONS": {}} if self._wrong else params)
        self._valid: dict[int, AnyTask] = {}

    @cached_property
    def spooler_options(self) -> Options:
        """The checked OPTIONS. Raise InvalidOptions where something in the entry is wrong."""
        if self._wrong:
            raise InvalidOptions(f"TASKS[{self.alias!r}] is wrong. {' '.join(self._wrong)}")
        return Options(**self.options)

    @property
    def supports_get_result(self) -> bool:  # type: ignore[override]
        """Whether results are kept: with ``RESULTS = "database"``."""
        return self.spooler_options.RESULTS is not None

    def validate_task(self, task: AnyTask) -> None:
        """Raise InvalidSpoolerTask where the task cannot be queued here; else make it known."""
        if finding := _task_problem(task, self.queues):
            raise InvalidSpoolerTask(f"{_name(task.func)}: {finding}.")
        try:
            super().validate_task(task)
        except InvalidTask as error:
            raise InvalidSpoolerTask(f"{_name(task.func)}: {error}") from error
        register(task)
        if len(self._valid) >= _VALID_KEPT:
            self._valid.clear()
        self._valid[id(task)] = task

    def enqueue(
        self, task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> AnyTaskResult:
        """Queue a call of the task; inside a transaction, once it has been committed.

        Raise InvalidSpoolerTask, InvalidArguments, InvalidOptions where the settings are wrong, or
        EnqueueError where it cannot be accepted.
        """
        if self._valid.get(id(task)) is not task:  # neither it nor the settings can have changed
            self.validate_task(task)
        _check_signature(task, args, kwargs)
        name = task.module_path
        plain_args, plain_kwargs = normalize_arguments(name, args, kwargs)
        message = Message(
            id=new_id(),
            task=name,
            args=plain_args,
            kwargs=plain_kwargs,
            queue=task.queue_name,
            priority=int(task.priority),
            backend=self.alias,
            enqueued_at=time.time(),
            run_after=_timestamp(task.run_after),
            redact=hidden_arguments(task, plain_args, plain_kwargs),
            request_id=current_request_id(self.spooler_options),
        )
        options = self.spooler_options
        submission = Submission(
            task, message, new_result(task, message), options, signatures_required()
        )
        handover = Handover(
            type(self),
            executors.choose(options, task.queue_name),
            options,
            waits_for_commit(task, options),
            [submission],
        )
        if not bulk.takes(handover):
            handover.go()
        return submission.result

    def get_result(self, result_id: str) -> AnyTaskResult:
        """Return a stored result.

        Raise TaskResultDoesNotExist for an unknown id, NotImplementedError without ``RESULTS``.
        """
        if not self.supports_get_result:
            raise NotImplementedError(
                "This backend does not support retrieving or refreshing results. Set"
                f" TASKS[{self.alias!r}]['OPTIONS']['RESULTS'] = 'database' and migrate."
            )
        return results.load(result_id)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return what the system checks find in this backend's settings."""
        return []


def _name(func: Callable[..., Any]) -> str:
    return f"{getattr(func, '__module__', '?')}.{getattr(func, '__qualname__', repr(func))}"


def _task_problem(task: AnyTask, queues: set[str]) -> str | None:
    if getattr(task.func, "__module__", None) == "__main__":
        return (
            "a task in __main__ has no place the spooler could import it from. Move it to a module,"
            " best the app's tasks.py"
        )
    name = getattr(task.func, "__qualname__", "")
    if not inspect.isfunction(task.func) or "<locals>" in name or "<lambda>" in name:
        return (
            "Task function must be defined at a module level. The spooler finds it by its dotted"
            " path: move it to the top of a module, best the app's tasks.py"
        )
    if queues and task.queue_name not in queues:
        return (
            f"Queue '{task.queue_name}' is not valid for backend. Known are"
            f" {', '.join(sorted(queues))}; add it to TASKS[{task.backend!r}]['QUEUES'] or correct"
            " the name"
        )
    if not _is_priority(task.priority):
        return (
            f"priority must be a whole number between {TASK_MIN_PRIORITY} and {TASK_MAX_PRIORITY}."
            f" It is {task.priority!r}"
        )
    if task.run_after is not None and not isinstance(task.run_after, datetime):
        return (
            f"run_after must be a datetime, not {task.run_after!r}. Use django.utils.timezone.now()"
            " + timedelta(...)"
        )
    if settings.USE_TZ and task.run_after is not None and timezone.is_naive(task.run_after):
        return (
            "run_after must be an aware datetime. Use django.utils.timezone.now() + timedelta(...)"
        )
    return option_problem(task)


def _is_priority(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and TASK_MIN_PRIORITY <= value <= TASK_MAX_PRIORITY
        and int(value) == value
    )


@lru_cache(maxsize=1024)
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)


@lru_cache(maxsize=1024)
def _positional_bounds(func: Callable[..., Any]) -> tuple[int, int]:
    """Return how few and how many positional arguments alone satisfy the function."""
    least = most = 0
    for parameter in _signature(func).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = 1 << 30
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return 1, 0
    return least, most


def _check_signature(task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    extra = 1 if task.takes_context else 0
    least, most = _positional_bounds(task.func)
    if not kwargs and least <= len(args) + extra <= most:
        return
    try:
        _signature(task.func).bind(*((None,) * extra), *args, **kwargs)
    except TypeError as error:
        raise InvalidArguments(
            f"{task.module_path}{_signature(task.func)} cannot take these arguments: {error}."
        ) from None


def _timestamp(run_after: datetime | None) -> float | None:
    return None if run_after is None else run_after.timestamp()


def spooler_backends() -> list[SpoolerBackend]:
    """Return the site's backends that are ours, in the order of the settings.

    One of another package that cannot be made stops nothing here: its own first use says why.
    """
    backends = []
    for alias in task_backends:
        with suppress(InvalidTaskBackend):
            backends.append(backend_named(alias))
    return [backend for backend in backends if isinstance(backend, SpoolerBackend)]


@cache
def signatures_required() -> bool:
    """Tell whether any backend of ours accepts signed messages only."""
    return any(backend.spooler_options.SIGNED for backend in spooler_backends())


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        signatures_required.cache_clear()
