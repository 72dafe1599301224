"""What a log record tells of the task it is about, and the id of the request that enqueued it.

The records of this package about a task have these attributes, which ``TaskFilter`` gives to every
other record that is made while a task runs:

============== =============================================================================
``task_id``    its id
``task_name``  its dotted path
``attempt``    the number of the try, from 1
``queue``      the name of its queue
``duration``   the seconds the try took, None while it runs
``request_id`` what ``request_id`` held where it was enqueued, else None
============== =============================================================================
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from functools import cache
from traceback import format_exception
from types import TracebackType
from typing import Any, Protocol

from django.utils import timezone
from django.utils.module_loading import import_string

from .compat import AnyTaskResult, framework_logger
from .conf import Options
from .exceptions import InvalidOptions
from .message import Message
from .redaction import hiding
from .result import SpoolerResult

logger = logging.getLogger("django_spooler")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request this code runs for; a middleware sets it, and in a task this package does.

``OPTIONS["REQUEST_ID"]`` names another variable where the site has one already.
"""

FIELDS = ("task_id", "task_name", "attempt", "queue", "duration", "request_id")

_LONGEST_ID = 200
"""Characters of a request's id that travel with a task."""


class Tried(Protocol):
    """What records are about: one try of a task."""

    @property
    def result(self) -> SpoolerResult:
        """What is known of it."""

    @property
    def message(self) -> Message:
        """The call."""


_running: ContextVar[Tried | None] = ContextVar("django_spooler.running", default=None)


class TaskFilter(logging.Filter):
    """Gives every record the attributes of the task that runs, None where none does.

    A filter of the site's handlers, so that any formatter can name them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what the record does not have yet; let it pass."""
        running = _running.get()
        fields = (
            fields_of(running.result, running.message)
            if running
            else {"request_id": request_id.get()}
        )
        for name in FIELDS:
            if not hasattr(record, name):
                setattr(record, name, fields.get(name))
        return True


def fields_of(
    result: AnyTaskResult, message: Message | None = None, duration: float | None = None
) -> dict[str, Any]:
    """Return the attributes of a record about a try, as ``extra`` takes them."""
    return {
        "task_id": result.id,
        "task_name": result.task.module_path,
        "attempt": result.attempts,
        "queue": result.task.queue_name,
        "duration": duration,
        "request_id": message.request_id if message else None,
    }


def begin(tried: Tried) -> Token[Any]:
    """Let the records made from now on be about this try, until ``end`` gets what is returned."""
    return _running.set(tried)


def end(token: Token[Any]) -> None:
    """Let them be about no task again."""
    _running.reset(token)


def enter(tried: Tried, options: Options) -> None:
    """Begin in the context of the task's own, and put the request's id where it was."""
    _running.set(tried)
    message = tried.message
    if message.request_id is not None:
        request_id.set(message.request_id)
        variable_of(options).set(message.request_id)


def current_request_id(options: Options) -> str | None:
    """Return the id a task enqueued now carries. Raise InvalidOptions for a wrong REQUEST_ID."""
    value = variable_of(options).get(None)
    return None if value is None else str(value)[:_LONGEST_ID]


def variable_of(options: Options) -> ContextVar[Any]:
    """Return the variable that holds the id. Raise InvalidOptions for a wrong REQUEST_ID."""
    return request_id if options.REQUEST_ID is None else _variable(options.REQUEST_ID)


@cache
def _variable(path: str) -> ContextVar[Any]:
    try:
        found = import_string(path)
    except ImportError as error:
        raise InvalidOptions(f"OPTIONS['REQUEST_ID'] is {path!r}: {error}.") from error
    if not isinstance(found, ContextVar):
        raise InvalidOptions(
            f"OPTIONS['REQUEST_ID'] is {path!r}: that is {type(found).__name__}, not a"
            " contextvars.ContextVar."
        )
    return found


def in_words(error: BaseException) -> str:
    """Return class and message of an exception, also of one that cannot tell its message."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: (its message cannot be shown)"


def log_try(level: int, text: str, tried: Tried, error: BaseException | None = None) -> None:
    """Log how a try ended; what its task does not show is hidden in text and traceback."""
    if not logger.isEnabledFor(level):
        return
    result, message = tried.result, tried.message
    last = result.last_attempted_at
    duration = (timezone.now() - last).total_seconds() if last else None
    hide = hiding(message)
    file, line, function, _ = logger.findCaller(stacklevel=2)
    record = logger.makeRecord(
        logger.name,
        level,
        file,
        line,
        "Task id=%s path=%s attempt=%d %s",
        (message.id, message.task, result.attempts, hide(text)),
        None,
        function,
        extra=fields_of(result, message, duration),
    )
    if error is not None and hide is str:
        record.exc_info = (type(error), error, error.__traceback__)
    elif error is not None:
        record.exc_text = hide("".join(format_exception(error))).rstrip()
    with contained():
        logger.handle(record)


class contained:  # noqa: N801  used like contextlib.suppress
    """Let no error of the site's receivers, log handlers and filters out of the block.

    What a task came to stands, whatever becomes of the news of it. A class, like
    ``contextlib.suppress``, since each task enters it twice.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        with contextlib.suppress(OSError):  # not by logging, which may be what fails
            os.write(2, "".join(format_exception(error)).encode(errors="backslashreplace"))
        return True


def announce_failure(
    error: BaseException, message: Message, announce: Callable[[], object]
) -> None:
    """Call ``announce`` while an error is handled that hides what the task does not show.

    Django's framework logs the error that is being handled when a task is announced as finished.
    """
    with contained(), told_once():
        _call_with_hidden(error, message, announce)


@contextlib.contextmanager
def told_once() -> Iterator[None]:
    """Keep what the framework logs in the block from handlers that a record of ours has reached."""
    if not logger.isEnabledFor(logging.ERROR):
        yield
        return
    framework_logger.addFilter(_told_elsewhere)
    try:
        yield
    finally:
        framework_logger.removeFilter(_told_elsewhere)


def _told_elsewhere(record: logging.LogRecord) -> bool:
    """Give a record to the handlers that one of ours does not reach; it has no further to go."""
    ours = {
        _output_of(handler)
        for handler in handlers_of(logger)
        if record.levelno >= handler.level and handler.filter(record)
    }
    for handler in handlers_of(framework_logger):
        if record.levelno >= handler.level and _output_of(handler) not in ours:
            handler.handle(record)
    return False


def _output_of(handler: logging.Handler) -> object:
    """Return what two handlers have in common that write to the same place."""
    return getattr(handler, "stream", None) or handler


def handlers_of(source: logging.Logger | None) -> list[logging.Handler]:
    """Return the handlers that records of a logger come to, whatever their levels and filters."""
    found: list[logging.Handler] = []
    while source is not None:
        found += source.handlers
        source = source.parent if source.propagate else None
    return found or [handler for handler in (logging.lastResort,) if handler is not None]


def _call_with_hidden(error: BaseException, message: Message, call: Callable[[], object]) -> None:
    hide = hiding(message)
    if hide is str:
        call()
        return
    try:
        raise RedactedError(hide("".join(format_exception(error)))) from None
    except RedactedError:
        call()


class RedactedError(Exception):
    """Stands for the error of a task that hides arguments."""
