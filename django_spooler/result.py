"""The result object of a task, as ``enqueue`` returns it and the consumer fills it in."""

from datetime import datetime, timezone
from typing import Any

from django.conf import settings

from .compat import AnyTask, TaskResult, TaskResultStatus
from .message import Message


class SpoolerResult(TaskResult):  # type: ignore[type-arg]
    """A TaskResult whose arguments are known to be plain JSON already."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Leave the arguments as they are: they were normalized, or come from JSON."""

    def set(self, **values: Any) -> None:
        """Fill in what happened; the object is frozen for everybody else."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def new_result(task: AnyTask, message: Message) -> SpoolerResult:
    """Return the result of a call that has not been tried yet."""
    return SpoolerResult(
        task=task,
        id=message.id,
        status=TaskResultStatus.READY,
        enqueued_at=as_datetime(message.enqueued_at),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=message.args,
        kwargs=message.kwargs,
        backend=message.backend,
        errors=[],
        worker_ids=[],
    )


def as_datetime(timestamp: float) -> datetime:
    """Return a time as Django keeps it: aware with USE_TZ, else naive in local time."""
    if settings.USE_TZ:
        return datetime.fromtimestamp(timestamp, tz=timezone.utc)
    return datetime.fromtimestamp(timestamp)
