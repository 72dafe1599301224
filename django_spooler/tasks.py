"""The task, its own options and the registry; no files and no uWSGI here.

A task of ours is a Task of Django's Tasks framework with a few more fields, so whatever works with
``django.tasks`` works with it, on this or any other backend.
"""

import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from .compat import (
    AnyTask,
    BaseTaskBackend,
    GenericTask,
    TaskResult,
    backend_named,
)
from .conf import (
    Options,
    optional_count_problem,
    optional_seconds_problem,
    seconds_problem,
)
from .exceptions import InvalidSpoolerTask

P = ParamSpec("P")
R = TypeVar("R")

SPOOL_OK = -2
SPOOL_RETRY = -1
SPOOL_IGNORE = 0
"""What a ``spooler_raw`` function returns; the values are uWSGI's (``core/spooler.c``)."""


class Unset(enum.Enum):
    """The type of ``UNSET``: an option left to the backend's OPTIONS."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET


class Kind(enum.Enum):
    """How the end of a task's function is understood."""

    TASK = "task"
    RAW = "raw"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a task that fails, with every default filled in. Times are seconds."""

    max_attempts: int | None
    backoff: float
    backoff_max: float
    timeout: float | None
    retry_on: tuple[type[BaseException], ...]
    discard_on: tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolerTask(GenericTask[P, R]):
    """A function that can be queued: what ``@spooler_task`` makes of it."""

    max_attempts: int | None | Unset = UNSET
    """Tries before the task stands in ``failed``; None for no bound."""

    backoff: float | Unset = UNSET
    """Seconds before the second try; doubles with each further one."""

    backoff_max: float | Unset = UNSET
    """Seconds that no pause between tries exceeds."""

    timeout: float | None | Unset = UNSET
    """Seconds one try may take; None for no bound."""

    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    """Exceptions that are worth another try; any other puts the task into ``failed`` at once."""

    discard_on: tuple[type[BaseException], ...] = ()
    """Exceptions that end the task as done: they are logged, and nothing is kept."""

    enqueue_on_commit: bool | Unset = UNSET
    """Whether ``enqueue`` inside a transaction waits for its commit."""

    redact: tuple[str, ...] = ()
    """Parameters whose values the admin and the command line do not show."""

    kind: Kind = Kind.TASK
    """How the function's end is understood."""

    pause: float = 0.0
    """Seconds between two runs of a ``spooler_forever`` task."""

    def get_backend(self) -> BaseTaskBackend:
        """Return the backend: one that was made already, where it serves all threads."""
        return backend_named(self.backend)

    # "/" since a task may have a parameter that is called self; the framework's own lack it.

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """Queue a call of the task."""
        return self.get_backend().enqueue(self, args, kwargs)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """Queue a call of the task."""
        return await self.get_backend().aenqueue(self, args, kwargs)

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> "TaskResult[R]":
        """Queue a call of the task: ``enqueue`` under Celery's name."""
        return self.enqueue(*args, **kwargs)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it were no task."""
        return self.func(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function, for ``inspect`` and documentation tools."""
        return self.func


def policy_of(task: AnyTask, options: Options) -> Policy:
    """Return what the task and the backend's options say together; a plain Task has the options'."""
    return Policy(
        max_attempts=_given(task, "max_attempts", options.MAX_ATTEMPTS),
        backoff=_given(task, "backoff", options.BACKOFF),
        backoff_max=_given(task, "backoff_max", options.BACKOFF_MAX),
        timeout=_given(task, "timeout", options.TIMEOUT),
        retry_on=getattr(task, "retry_on", (BaseException,)),
        discard_on=getattr(task, "discard_on", ()),
    )


def waits_for_commit(task: AnyTask, options: Options) -> bool:
    """Tell whether the task, enqueued in a transaction, waits for its commit."""
    return bool(_given(task, "enqueue_on_commit", options.ENQUEUE_ON_COMMIT))


def _given(task: AnyTask, name: str, default: Any) -> Any:
    value = getattr(task, name, UNSET)
    return default if value is UNSET else value


def option_problem(task: AnyTask) -> str | None:
    """Return what is wrong with the task's own options, or None."""
    if not isinstance(task, SpoolerTask):
        return None
    checks: list[tuple[str, Callable[[object], str | None]]] = [
        ("max_attempts", optional_count_problem),
        ("backoff", seconds_problem),
        ("backoff_max", seconds_problem),
        ("timeout", optional_seconds_problem),
        ("pause", seconds_problem),
        ("retry_on", _exceptions_problem),
        ("discard_on", _exceptions_problem),
    ]
    for name, check in checks:
        value = getattr(task, name)
        if value is not UNSET and (finding := check(value)):
            return f"{name} is {value!r}: {finding}"
    return _redact_problem(task)


def call_parameters(task: AnyTask) -> list[inspect.Parameter]:
    """Return the parameters a caller gives values for: all but the context."""
    parameters = list(inspect.signature(task.func).parameters.values())
    return parameters[1:] if task.takes_context else parameters


def _redact_problem(task: SpoolerTask[..., Any]) -> str | None:
    names = task.redact
    if not isinstance(names, tuple):
        return f"redact is {names!r}: it must be a tuple of names, as in ('password',)"
    known = inspect.signature(task.func).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in names:
        if name not in known and not takes_any:
            return f"redact names {name!r}, which is no parameter: there are {', '.join(known)}"
    return None


def _exceptions_problem(value: object) -> str | None:
    if isinstance(value, tuple) and all(
        isinstance(item, type) and issubclass(item, BaseException) for item in value
    ):
        return None
    return "it must be a tuple of exception classes, as in (OSError,)"


# The registry: the only way from a name in a message to a function.

_registry: dict[str, AnyTask] = {}
_at_first_use: list[Callable[[], None]] = []


def register(task: AnyTask) -> None:
    """Make a task known by its dotted path.

    Raise InvalidSpoolerTask where another function already has the name.
    """
    known = _registry.get(task.module_path)
    if known is not None and known.func is not task.func and not _same_place(known.func, task.func):
        raise InvalidSpoolerTask(
            f"Two tasks are named {task.module_path}: one at {_where(known.func)}, one at"
            f" {_where(task.func)}. Rename one of them."
        )
    if known is None or known.func is not task.func:
        _registry[task.module_path] = task


def register_at_first_use(register_them: Callable[[], None]) -> None:
    """Have tasks registered when somebody looks for one: what only enqueues is spared their cost.

    Threads may call ``register_them`` at the same time.
    """
    _at_first_use.append(register_them)


def load_tasks() -> None:
    """Register what is left to the first use; before a fork its memory is shared."""
    for register_them in _at_first_use:
        register_them()
    _at_first_use.clear()


def find_task(name: str) -> AnyTask | None:
    """Return the registered task of this dotted path, None if there is none."""
    load_tasks()
    return _registry.get(name)


def task_names() -> list[str]:
    """Return the dotted paths of all registered tasks."""
    load_tasks()
    return sorted(_registry)


def _same_place(first: Callable[..., Any], second: Callable[..., Any]) -> bool:
    """Tell whether a module was only loaded again."""
    return _where(first) == _where(second)


def _where(func: Callable[..., Any]) -> str:
    code = inspect.unwrap(func).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
