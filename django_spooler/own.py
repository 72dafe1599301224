"""Tasks of this package's own, on whatever backend of ours the site has."""

import functools
from collections.abc import Callable
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from .backends import backend_for_own_tasks, queue_for_own_tasks
from .decorators import spooler_task
from .tasks import SpoolerTask

_names: set[str] = set()


def is_own(name: str) -> bool:
    """Tell whether a task is one of ours, which nobody else enqueues."""
    return name in _names or name.startswith("django_spooler.")


@functools.cache
def own_task(function: Callable[..., Any], **options: Any) -> SpoolerTask[..., Any] | None:
    """Return a function of ours as a task of the site's first backend of ours, None without one."""
    backend = backend_for_own_tasks()
    if backend is None:
        return None
    task: SpoolerTask[..., Any] = spooler_task(
        backend=backend.alias,
        queue_name=queue_for_own_tasks(backend),
        enqueue_on_commit=False,
        **options,
    )(function)
    _names.add(task.module_path)
    return task


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        own_task.cache_clear()
