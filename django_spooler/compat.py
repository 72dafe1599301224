"""The names of Django's Tasks framework, wherever this Django keeps them.

``django.tasks`` exists since Django 6.0; on Django 5.2 the backport ``django-tasks`` provides the
same framework as ``django_tasks``, with a few other names. Nothing else in this package asks which
of the two it runs on.
"""

import logging
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar

import django
from django.core.signals import setting_changed
from django.dispatch import Signal, receiver

P = ParamSpec("P")
R = TypeVar("R")

# Type checkers read the backport's names, whose Task takes types in brackets.
if TYPE_CHECKING or django.VERSION < (6, 0):
    from django_tasks import TaskContext, TaskResult, TaskResultStatus, signals, task_backends
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import (
        DEFAULT_TASK_BACKEND_ALIAS,
        DEFAULT_TASK_PRIORITY,
        DEFAULT_TASK_QUEUE_NAME,
        TASK_MAX_PRIORITY,
        TASK_MIN_PRIORITY,
        Task,
        TaskError,
    )
    from django_tasks.exceptions import InvalidTaskBackendError as InvalidTaskBackend
    from django_tasks.exceptions import InvalidTaskError as InvalidTask
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.utils import normalize_json
else:
    from django.tasks import TaskContext, TaskResult, TaskResultStatus, signals, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import (
        DEFAULT_TASK_BACKEND_ALIAS,
        DEFAULT_TASK_PRIORITY,
        DEFAULT_TASK_QUEUE_NAME,
        TASK_MAX_PRIORITY,
        TASK_MIN_PRIORITY,
        Task,
        TaskError,
    )
    from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
    from django.utils.json import normalize_json

framework_logger = signals.logger
task_enqueued, task_started, task_finished = (
    signals.task_enqueued,
    signals.task_started,
    signals.task_finished,
)

if TYPE_CHECKING:
    AnyTask: TypeAlias = Task[..., Any]
    AnyTaskResult: TypeAlias = TaskResult[Any]
    GenericTask: TypeAlias = Task[P, R]
else:
    AnyTask = Task
    AnyTaskResult = TaskResult

    class GenericTask(Task, Generic[P, R]):
        """A Task that takes types in brackets, which only the backport's does by itself."""

        __slots__ = ()


__all__ = [
    "DEFAULT_TASK_BACKEND_ALIAS",
    "DEFAULT_TASK_PRIORITY",
    "DEFAULT_TASK_QUEUE_NAME",
    "TASK_MAX_PRIORITY",
    "TASK_MIN_PRIORITY",
    "AnyTask",
    "AnyTaskResult",
    "BaseTaskBackend",
    "GenericTask",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "backend_named",
    "framework_logger",
    "normalize_json",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]


_shared: dict[str, BaseTaskBackend] = {}


def backend_named(alias: str) -> BaseTaskBackend:
    """Return the backend of this alias: the same in all threads where its class says so itself.

    Django keeps one for each thread, and for each request of an ASGI server; to look there takes as
    long as anything else that ``enqueue`` does. Of what a subclass keeps only its author knows.
    """
    backend = _shared.get(alias)
    if backend is None:
        backend = task_backends[alias]
        if vars(type(backend)).get("is_for_all_threads"):
            _shared[alias] = backend
    return backend


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        _shared.clear()


_LOGGING = {
    task_enqueued: (id(signals.log_task_enqueued), logging.DEBUG),
    task_started: (id(signals.log_task_started), logging.INFO),
    task_finished: (id(signals.log_task_finished), logging.INFO),
}
"""The framework's own receiver of each signal, as ``Signal.receivers`` names it, and its level."""


def is_heard(signal: Signal) -> bool:
    """Tell whether a signal about a task that goes well has any effect.

    Where only the framework's own receiver listens, and its logger does not take what that would log,
    to send it would be a tenth of what a short task costs.
    """
    _, level = _LOGGING[signal]
    return framework_logger.isEnabledFor(level) or is_heard_by_site(signal)


def is_heard_by_site(signal: Signal) -> bool:
    """Tell whether anybody but the framework itself listens to a signal."""
    own, _ = _LOGGING[signal]
    if len(signal.receivers) == 1:
        (listener, _), *_ = signal.receivers[0]
        return bool(listener != own)
    return bool(signal.receivers)
