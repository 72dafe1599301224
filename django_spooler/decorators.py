"""The decorators that make a function a task."""

from collections.abc import Callable, Coroutine
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from .compat import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    Task,
    task_backends,
)
from .conf import as_seconds, did_you_mean
from .exceptions import InvalidSpoolerTask
from .tasks import Kind, SpoolerTask

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    from typing import Protocol, TypedDict

    from typing_extensions import Unpack

    class CoroutineTask(SpoolerTask[P, R]):
        """What becomes of an ``async def``: its result is a value, its plain call a coroutine."""

        def __call__(  # type: ignore[override]
            self, /, *args: P.args, **kwargs: P.kwargs
        ) -> Coroutine[Any, Any, R]: ...

    class TaskOptions(TypedDict, total=False):
        """What all decorators take."""

        priority: int
        queue_name: str
        backend: str
        max_attempts: int | None
        backoff: float | timedelta
        backoff_max: float | timedelta
        timeout: float | timedelta | None
        retry_on: tuple[type[BaseException], ...]
        discard_on: tuple[type[BaseException], ...]
        enqueue_on_commit: bool
        redact: tuple[str, ...]

    class ForeverOptions(TaskOptions, total=False):
        """What ``spooler_forever`` takes."""

        pause: float | timedelta

    class Decorator(Protocol):
        """Makes a function a task."""

        @overload
        def __call__(
            self, function: Callable[P, Coroutine[Any, Any, R]], /
        ) -> CoroutineTask[P, R]: ...
        @overload
        def __call__(self, function: Callable[P, R], /) -> SpoolerTask[P, R]: ...

    class ContextDecorator(Protocol):
        """Makes a function a task whose first argument is not given when it is enqueued."""

        @overload
        def __call__(
            self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
        ) -> CoroutineTask[P, R]: ...
        @overload
        def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> SpoolerTask[P, R]: ...

    class RawDecorator(Protocol):
        """Makes a function that returns one of uWSGI's answers a task."""

        @overload
        def __call__(self, function: Callable[P, int], /) -> SpoolerTask[P, int]: ...
        @overload
        def __call__(
            self, function: Callable[P, Coroutine[Any, Any, int]], /
        ) -> CoroutineTask[P, int]: ...

    class RawContextDecorator(Protocol):
        """Does both."""

        @overload
        def __call__(
            self, function: Callable[Concatenate[Any, P], int], /
        ) -> SpoolerTask[P, int]: ...
        @overload
        def __call__(
            self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, int]], /
        ) -> CoroutineTask[P, int]: ...


@overload
def spooler_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> "CoroutineTask[P, R]": ...
@overload
def spooler_task(function: Callable[P, R], /) -> SpoolerTask[P, R]: ...
@overload
def spooler_task(
    *, takes_context: Literal[True], **options: "Unpack[TaskOptions]"
) -> "ContextDecorator": ...
@overload
def spooler_task(
    *, takes_context: Literal[False] = ..., **options: "Unpack[TaskOptions]"
) -> "Decorator": ...
def spooler_task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a module-level function a task.

    Options: ``priority`` (-100 to 100), ``queue_name``, ``backend``, ``takes_context``,
    ``max_attempts``, ``backoff``, ``backoff_max``, ``timeout``, ``retry_on``, ``discard_on``,
    ``enqueue_on_commit`` and ``redact``; durations are seconds or a timedelta, and what is left out
    follows the backend's OPTIONS.

    Raise InvalidSpoolerTask for a function or option that cannot work.
    """
    return _decorate(Kind.TASK, function, options)


@overload
def spooler_raw(function: Callable[P, int], /) -> SpoolerTask[P, int]: ...
@overload
def spooler_raw(function: Callable[P, Coroutine[Any, Any, int]], /) -> "CoroutineTask[P, int]": ...
@overload
def spooler_raw(
    *, takes_context: Literal[True], **options: "Unpack[TaskOptions]"
) -> "RawContextDecorator": ...
@overload
def spooler_raw(
    *, takes_context: Literal[False] = ..., **options: "Unpack[TaskOptions]"
) -> "RawDecorator": ...
def spooler_raw(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task that says itself how it ended.

    It returns SPOOL_OK (done), SPOOL_RETRY (another try, after the backoff and up to
    ``max_attempts``) or SPOOL_IGNORE (not for me: the task is set aside in ``failed``). Anything
    else counts as a failure. Options and errors are those of ``spooler_task``.
    """
    return _decorate(Kind.RAW, function, options)


@overload
def spooler_forever(function: Callable[P, Coroutine[Any, Any, R]], /) -> "CoroutineTask[P, R]": ...
@overload
def spooler_forever(function: Callable[P, R], /) -> SpoolerTask[P, R]: ...
@overload
def spooler_forever(
    *, takes_context: Literal[True], **options: "Unpack[ForeverOptions]"
) -> "ContextDecorator": ...
@overload
def spooler_forever(
    *, takes_context: Literal[False] = ..., **options: "Unpack[ForeverOptions]"
) -> "Decorator": ...
def spooler_forever(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task that runs again after each success, until it raises StopSpooling.

    ``pause`` is the time between two runs, in seconds or as a timedelta. A failure is retried as
    any task's; after ``max_attempts`` in a row the task stands in ``failed`` and stops. The other
    options and the errors are those of ``spooler_task``.
    """
    return _decorate(Kind.FOREVER, function, options)


def _decorate(kind: Kind, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:
    _refuse_unknown(kind, options)
    checked = {
        name: as_seconds(value) if name in _DURATIONS else value for name, value in options.items()
    }

    def make(func: Callable[..., Any]) -> Any:
        _refuse_no_function(kind, func)
        return _task_class(checked)(
            func=func,
            kind=kind,
            **{
                "priority": DEFAULT_TASK_PRIORITY,
                "queue_name": DEFAULT_TASK_QUEUE_NAME,
                "backend": DEFAULT_TASK_BACKEND_ALIAS,
                "run_after": None,  # Django 6.0 has no default for it
                **checked,
            },
        )

    return make if function is None else make(function)


def _task_class(options: dict[str, Any]) -> type[Any]:
    """Return the backend's own task class where it extends ours, else ours."""
    preferred = task_backends[options.get("backend", DEFAULT_TASK_BACKEND_ALIAS)].task_class
    return preferred if issubclass(preferred, SpoolerTask) else SpoolerTask


_DURATIONS = ("backoff", "backoff_max", "timeout", "pause")
_INTERNAL = ("func", "kind", "run_after")


def _refuse_no_function(kind: Kind, func: object) -> None:
    if isinstance(func, Task):
        raise InvalidSpoolerTask(f"{func.module_path} is a task already: it takes one decorator.")
    if not callable(func):
        raise InvalidSpoolerTask(
            f"{_DECORATORS[kind].__name__} takes a function, not {func!r}. Options have names, as in"
            " @spooler_task(queue_name='mail')."
        )


def _refuse_unknown(kind: Kind, options: dict[str, Any]) -> None:
    known = {field.name for field in fields(SpoolerTask)} - set(_INTERNAL)
    if kind is not Kind.FOREVER:
        known.discard("pause")
    for name in options:
        if name == "run_after":
            raise InvalidSpoolerTask(
                "run_after cannot be set in the decorator: the time would be that of the import."
                " Use .using(run_after=...) where you enqueue."
            )
        if name not in known:
            decorator, hint = _DECORATORS[kind].__name__, did_you_mean(name.lower(), known)
            raise InvalidSpoolerTask(f"{decorator} has no option {name!r}: {hint}")


_DECORATORS = {Kind.TASK: spooler_task, Kind.RAW: spooler_raw, Kind.FOREVER: spooler_forever}
