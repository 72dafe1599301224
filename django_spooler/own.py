"""Tasks of this package's own, on whatever backend of ours the site has."""

import functools
import time
from collections.abc import Callable
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from .backend import SpoolerBackend, signatures_required, spooler_backends
from .compat import DEFAULT_TASK_QUEUE_NAME, AnyTask
from .decorators import spooler_task
from .executors import Submission
from .message import Message
from .result import new_result
from .spool.names import new_id
from .tasks import SpoolerTask

CRON_QUEUE = "cron"
"""The queue of periodic jobs' runs. It needs no entry in QUEUES: nobody else enqueues to it."""

_names: set[str] = set()


def is_own(name: str) -> bool:
    """Tell whether a task is one of ours, which nobody else enqueues."""
    return name in _names or name.startswith("django_spooler.")


def own_backend() -> SpoolerBackend | None:
    """Return the backend that our own tasks go to, None where the site has none of ours."""
    return next(iter(spooler_backends()), None)


def own_queue(backend: SpoolerBackend) -> str:
    """Return the queue of our own tasks: the default one where the backend has it."""
    if not backend.queues or DEFAULT_TASK_QUEUE_NAME in backend.queues:
        return DEFAULT_TASK_QUEUE_NAME
    return str(min(backend.queues))


@functools.cache
def own_task(function: Callable[..., Any], **options: Any) -> SpoolerTask[..., Any] | None:
    """Return a function of ours as a task of the site's first backend of ours, None without one."""
    backend = own_backend()
    if backend is None:
        return None
    task: SpoolerTask[..., Any] = spooler_task(
        backend=backend.alias,
        queue_name=own_queue(backend),
        enqueue_on_commit=False,
        **options,
    )(function)
    _names.add(task.module_path)
    return task


def own_submission(task: AnyTask, *args: Any, queue: str, priority: int = 0) -> Submission:
    """Return a call of a task of ours, for an executor: into a queue that need not be its own."""
    message = Message(
        id=new_id(),
        task=task.module_path,
        args=[*args],
        kwargs={},
        queue=queue,
        priority=priority,
        backend=task.backend,
        enqueued_at=time.time(),
    )
    options = task.get_backend().spooler_options  # type: ignore[attr-defined]
    return Submission(task, message, new_result(task, message), options, signatures_required())


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        own_task.cache_clear()
