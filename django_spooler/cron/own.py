"""Tasks of this package's own, on whatever backend of ours the site has."""

import functools
from collections.abc import Callable
from typing import Any

from ..backends import spooler_backends
from ..compat import DEFAULT_TASK_QUEUE_NAME
from ..decorators import spooler_task
from ..tasks import SpoolerTask


@functools.cache
def own_task(function: Callable[..., Any], **options: Any) -> SpoolerTask[..., Any] | None:
    """Return a function of ours as a task of the site's first backend of ours, None without one."""
    backend = next(iter(spooler_backends()), None)
    if backend is None:
        return None
    queues = sorted(backend.queues) or [DEFAULT_TASK_QUEUE_NAME]
    queue = DEFAULT_TASK_QUEUE_NAME if DEFAULT_TASK_QUEUE_NAME in queues else queues[0]
    task: SpoolerTask[..., Any] = spooler_task(
        backend=backend.alias, queue_name=queue, enqueue_on_commit=False, **options
    )(function)
    return task
