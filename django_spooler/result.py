"""The result object of a task, as ``enqueue`` returns it and the consumer fills it in."""

from collections.abc import Callable
from datetime import datetime, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.conf import settings

from .compat import AnyTask, TaskResult, TaskResultStatus
from .message import Message


class SpoolerResult(TaskResult):  # type: ignore[type-arg]
    """A TaskResult whose arguments are known to be plain JSON already.

    One of ``new_result`` takes a field from its message when somebody asks for it: few callers of
    ``enqueue`` do, and to fill in all of them is a tenth of what it costs. What is taken is not kept:
    another thread may fill in the field meanwhile.
    """

    __slots__ = ("_message",)

    def __post_init__(self) -> None:
        """Leave the arguments as they are: they were normalized, or come from JSON."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the first value of a field that was not filled in."""
            if name not in _FIRST:
                raise AttributeError(f"{type(self).__name__} has no {name}", name=name, obj=self)
            return _FIRST[name](self._message)

    def set(self, **values: Any) -> None:
        """Fill in what happened; the object is frozen for everybody else."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def new_result(task: AnyTask, message: Message) -> SpoolerResult:
    """Return the result of a call that has not been tried yet."""
    result = SpoolerResult.__new__(SpoolerResult)
    result.set(task=task, _message=message, errors=[], worker_ids=[])
    return result


def as_datetime(timestamp: float) -> datetime:
    """Return a time as Django keeps it: aware with USE_TZ, else naive in local time."""
    if settings.USE_TZ:
        return datetime.fromtimestamp(timestamp, tz=timezone.utc)
    return datetime.fromtimestamp(timestamp)


_FIRST: dict[str, Callable[[Message], Any]] = {
    **{name: attrgetter(name) for name in ("id", "args", "kwargs", "backend")},
    "status": lambda message: TaskResultStatus.READY,
    "enqueued_at": lambda message: as_datetime(message.enqueued_at),
    "started_at": lambda message: None,
    "finished_at": lambda message: None,
    "last_attempted_at": lambda message: None,
    "_return_value": lambda message: None,
}
"""The fields of a call that has not been tried yet, but for its lists."""
