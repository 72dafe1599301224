"""What a running task can ask about itself."""

from .compat import TaskContext

_stopping = False


class SpoolerContext(TaskContext):
    """What a task with ``takes_context=True`` gets as its first argument."""

    __slots__ = ()

    @property
    def stopping(self) -> bool:
        """True while a stop or reload waits for this task: end soon, or be cut."""
        return _stopping


def note_stop() -> None:
    """Tell the running task, and any that asks later, that this process is to end."""
    global _stopping
    _stopping = True
