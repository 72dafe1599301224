"""The decorator that makes a function a periodic job, and the registry of jobs."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from django.conf import settings

from ..compat import Task
from ..conf import (
    as_seconds,
    count_problem,
    one_of,
    optional_seconds_problem,
    positive_seconds_problem,
    seconds_problem,
)
from ..exceptions import InvalidCronJob
from .schedule import Schedule, crontab, interval

F = TypeVar("F", bound=Callable[..., Any])

_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class CronContext:
    """What a job's function gets, if it takes an argument."""

    job: str
    slot: datetime
    """The time the run stands for, aware, in UTC."""
    attempt: int
    _is_lost: Callable[[], bool]

    @property
    def lost(self) -> bool:
        """True once another node has taken the run over: nothing done from now on counts."""
        return self._is_lost()


class Job(Protocol):
    """What runs periodically, whatever tells its times."""

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def overlap(self) -> str: ...
    @property
    def lease(self) -> float | None: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def ping(self) -> str | None: ...
    def in_words(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class PeriodicJob:
    """A function and when it runs. Times are seconds."""

    name: str
    function: Callable[..., Any]
    schedule: Schedule
    overlap: str = "skip"
    catch_up: str = "latest"
    catch_up_max_age: float = 86400.0
    lease: float | None = None
    timeout: float | None = None
    jitter: float = 0.0
    max_attempts: int = 1
    enabled: bool = True
    ping: str | None = None

    @property
    def place(self) -> str:
        """File and line of the function."""
        return _place(self.function)

    @property
    def takes_context(self) -> bool:
        """Whether the function has to be given an argument, or has one for the context."""
        parameters = list(inspect.signature(self.function).parameters.values())
        return bool(parameters) and (
            parameters[0].name == "context" or parameters[0].default is inspect.Parameter.empty
        )

    def in_words(self) -> str:
        """Return when it runs as a sentence's part, in English."""
        return self.schedule.in_words() if self.enabled else "never: enabled is False"

    def delay(self, slot: datetime) -> timedelta:
        """Return how long after its time a slot starts: chance, but the same on all nodes."""
        if not self.jitter:
            return timedelta()
        digest = hashlib.sha256(f"{self.name} {slot.timestamp()}".encode()).digest()
        return timedelta(seconds=self.jitter * int.from_bytes(digest[:4], "big") / 2**32)


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a decorated function from being a job: the system checks tell of it."""

    place: str
    finding: str


_registry: dict[str, PeriodicJob] = {}
_problems: list[Problem] = []


def cron_job(
    expression: str | None = None,
    *,
    every: timedelta | None = None,
    timezone: str | None = None,
    code: str | None = None,
    overlap: Literal["skip", "allow", "queue"] = "skip",
    catch_up: Literal["latest", "all", "none"] = "latest",
    catch_up_max_age: float | timedelta = 86400.0,
    lease: float | timedelta | None = None,
    timeout: float | timedelta | None = None,
    jitter: float | timedelta = 0.0,
    max_attempts: int = 1,
    enabled: bool = True,
    ping: str | None = None,
) -> Callable[[F], F]:
    """Run a module-level function at the times of a crontab expression, or once in an interval.

    The function stays what it is, and may take one argument, a CronContext. The times of
    ``expression`` are in ``timezone``, by default the site's. ``code`` is the job's name, by default
    the dotted path of the function.

    - ``overlap``: what becomes of a slot that comes due while the job runs: ``"skip"``, ``"allow"``
      or ``"queue"``.
    - ``catch_up``: which of the slots that nobody ran are made up for: ``"latest"``, ``"all"`` of
      the last ``catch_up_max_age`` seconds (one day), or ``"none"``. A single slot that is late
      is made up for in any case, until the next one comes.
    - ``lease``: seconds without a sign of life after which the run is taken over, by default
      ``OPTIONS["CRON_LEASE"]``.
    - ``timeout``: seconds after which TaskTimeout is raised in the function, under ``runcrons``
      too; not where that runs in another thread than the main one, which the log then says.
    - ``jitter``: seconds by which chance may delay a start.
    - ``max_attempts``: tries of a slot whose run failed.
    - ``ping``: the URL of a healthchecks service, told of start, success and failure.

    What cannot work is told by the system checks; the function is then no job.
    """
    if callable(expression):
        _problems.append(
            Problem(_place(expression), "write @cron_job('*/5 * * * *'), with the parentheses")
        )
        return expression
    options = {
        "overlap": overlap,
        "catch_up": catch_up,
        "catch_up_max_age": as_seconds(catch_up_max_age),
        "lease": as_seconds(lease),
        "timeout": as_seconds(timeout),
        "jitter": as_seconds(jitter),
        "max_attempts": max_attempts,
        "enabled": enabled,
        "ping": ping,
    }

    def decorate(function: F) -> F:
        try:
            _refuse_wrong(options)
            _refuse_no_function(function)
            job = PeriodicJob(
                name=_name_of(function) if code is None else code,
                function=function,
                schedule=_schedule(expression, every, timezone),
                **options,
            )
            _register(job)
        except InvalidCronJob as error:
            _problems.append(Problem(_place(function), str(error)))
        return function

    return decorate


def all_jobs() -> list[PeriodicJob]:
    """Return the site's jobs, in the order of their names."""
    return [_registry[name] for name in sorted(_registry)]


def find_job(name: str) -> PeriodicJob | None:
    """Return the job of this name, None if the site has none."""
    return _registry.get(name)


def problems() -> list[Problem]:
    """Return what keeps decorated functions from being jobs."""
    return list(_problems)


def note_problem(job: Job, finding: str) -> None:
    """Take a job out again that turned out to be none, for the system checks to tell."""
    _registry.pop(job.name, None)
    _problems.append(Problem(job.place, finding))


def _register(job: PeriodicJob) -> None:
    if not isinstance(job.name, str) or not 0 < len(job.name) <= _NAME_LENGTH:
        raise InvalidCronJob(
            f"the name {job.name!r} cannot be kept: code= must be 1 to {_NAME_LENGTH} characters"
        )
    known = _registry.get(job.name)
    if known is not None and known.place != job.place:
        raise InvalidCronJob(
            f"two periodic jobs are named {job.name!r}, the other one at {known.place}. Rename one,"
            " or give it code="
        )
    _registry[job.name] = job


def _schedule(expression: str | None, every: timedelta | None, zone: str | None) -> Schedule:
    if (expression is None) == (every is None):
        raise InvalidCronJob(
            "it needs a crontab expression or every=, and not both: @cron_job('*/5 * * * *') or"
            " @cron_job(every=timedelta(minutes=5))"
        )
    if every is not None:
        if zone is not None:
            raise InvalidCronJob("timezone is for crontab expressions; leave it out beside every")
        return interval(every)
    assert expression is not None
    if not isinstance(expression, str):
        raise InvalidCronJob(
            f"{expression!r} is no crontab expression. Write one as in '*/5 * * * *'"
        )
    return crontab(expression, zone or settings.TIME_ZONE)


def _refuse_wrong(options: dict[str, Any]) -> None:
    checks: dict[str, Callable[[object], str | None]] = {
        "overlap": one_of("skip", "allow", "queue"),
        "catch_up": one_of("latest", "all", "none"),
        "catch_up_max_age": positive_seconds_problem,
        "lease": optional_seconds_problem,
        "timeout": optional_seconds_problem,
        "jitter": seconds_problem,
        "max_attempts": count_problem,
        "ping": _url_problem,
    }
    for name, check in checks.items():
        if finding := check(options[name]):
            raise InvalidCronJob(f"{name} is {options[name]!r}: {finding}")


def _refuse_no_function(function: object) -> None:
    if isinstance(function, Task):
        raise InvalidCronJob(
            "it is a task already. Write a function that enqueues it, and make that the job"
        )
    if not inspect.isfunction(function):
        raise InvalidCronJob(f"cron_job takes a function, not {function!r}")
    if inspect.iscoroutinefunction(function):
        raise InvalidCronJob(
            "it is a coroutine function. Use asgiref.sync.async_to_sync in a function"
        )
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise InvalidCronJob("it must be at the top of a module, best the app's crons.py")
    required = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(required) > 1:
        raise InvalidCronJob("it takes more than one argument; a job gets its context at most")


def _url_problem(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value.startswith(("https://", "http://"))):
        return None
    return "it must be a URL, as in 'https://hc-ping.com/...'"


def _name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _place(function: object) -> str:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
