"""An entry of ``TASKS``: what may be wrong with it, and its OPTIONS as one typed object.

The system checks and the backend both come here, so what is wrong is worded the same wherever it
is met first.
"""

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from .exceptions import InvalidOptions

_ENTRY_KEYS = ("BACKEND", "QUEUES", "OPTIONS")
_QUEUE_NAME = re.compile(r"[^./\\\x00-\x1f;:\ud800-\udfff][^/\\\x00-\x1f;:\ud800-\udfff]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of one task backend; each has a default."""

    SPOOLERS: Mapping[str, str | os.PathLike[str]] = field(default_factory=dict)
    """Where the tasks of a queue go, by its name.

    The place is an absolute spool directory, or ``uwsgi://host:port`` for the spooler of another
    uWSGI. A queue that is not named goes to uWSGI's first spooler, and outside uWSGI to
    ``<BASE_DIR>/spool``.
    """

    OUTSIDE_UWSGI: str = "inline"
    """What ``enqueue`` does in a process that is not uWSGI: a shell, a test, ``runserver``.

    ``"inline"`` runs the task at once, before ``enqueue`` returns. ``"spool"`` writes the file for
    the spoolers that serve the directory. ``"error"`` raises ``NoSpooler``.
    """

    INLINE_RAISES: bool = False
    """Whether the error that ended an inline task reaches the caller of ``enqueue``."""

    MAX_ATTEMPTS: int | None = 3
    """Tries before a task stands in ``failed``; None for no bound."""

    BACKOFF: float = 2.0
    """Seconds before the second try; doubles with each further one.

    Chance adds up to a quarter, so that tasks that failed together do not return together.
    """

    BACKOFF_MAX: float = 3600.0
    """Seconds that no pause between tries exceeds."""

    TIMEOUT: float | None = None
    """Seconds one try may take before ``TaskTimeout`` is raised in it; None for no bound."""

    TIMEOUT_GRACE: float = 10.0
    """Seconds a timed out task has to end before its process is killed."""

    STOP_GRACE: float = 60.0
    """Seconds a running task has to end after its server was stopped or reloaded.

    One that is cut then runs again later, and has used up no attempt.
    """

    ENQUEUE_ON_COMMIT: bool = True
    """Whether ``enqueue`` inside a transaction waits for its commit.

    A task enqueued in a transaction that is rolled back then never runs. With False it is queued at
    once, and may run before the commit.
    """

    RESULTS: str | None = None
    """``"database"`` keeps status, return value and errors of every task in the site's database.

    None keeps no results, and needs no database.
    """

    SIGNED: bool = False
    """Whether messages are signed with SECRET_KEY, and only such messages are run.

    SECRET_KEY_FALLBACKS are accepted too.
    """

    FSYNC: bool = False
    """Whether a task is on the disk, file and directory, when ``enqueue`` returns."""

    FAILED_MAX_AGE: float | None = None
    """Seconds after which a failed task is discarded; None keeps it."""

    FAILED_MAX_COUNT: int | None = None
    """Number of failed tasks kept in each directory, the newest; None keeps all."""

    REQUEST_ID: str | None = None
    """The dotted path of the ``contextvars.ContextVar`` that holds the id of the current request.

    It travels with each task that is enqueued, and the variable holds it again while the task runs,
    so that both write it into their logs. None is ``django_spooler.logs.request_id``.
    """

    ADMIN_SITE: str | None = None
    """The dotted path of the AdminSite that shows the queue; None is the default one."""

    ADMIN_BASE: str | None = None
    """The dotted path of the ModelAdmin the queue's pages extend, as ``"unfold.admin.ModelAdmin"``.

    None is Django's.
    """

    CRON: bool = False
    """Whether uWSGI's spoolers, and ``spooler work``, run the periodic jobs by themselves.

    With False they run where ``manage.py runcrons`` is called, from crontab or in a loop.
    """

    CRON_LEASE: float = 60.0
    """Seconds without a sign of life after which a job's run is taken over by another node."""

    CRON_PROCESSES: int = 8
    """Periodic jobs at a time that get a process of their own on each node, with ``CRON``."""

    CRON_LATE: float = 60.0
    """Seconds after which a slot that has not started is late: it is announced and mailed."""

    CRON_MAIL: bool = True
    """Whether ADMINS get a mail when a periodic job fails, recovers, or starts late or never."""

    CRON_HISTORY_MAX_AGE: float | None = 30 * 86400.0
    """Seconds for which the runs of periodic jobs are kept; None keeps them."""

    CRON_HISTORY_MAX_COUNT: int | None = 1000
    """Number of runs kept of each periodic job, the newest; None keeps all."""

    def spooler_for(self, queue: str) -> str | None:
        """Return the directory or address set for ``queue``, None for uWSGI's first spooler."""
        place = self.SPOOLERS.get(queue)
        return None if place is None else os.fspath(place)


def default_directory() -> Path:
    """Return the spool directory used outside uWSGI where ``SPOOLERS`` names none.

    Raise InvalidOptions where the settings have no BASE_DIR to put it in.
    """
    base_dir = getattr(settings, "BASE_DIR", None)
    if base_dir is None:
        raise InvalidOptions(
            "There is no spool directory: OPTIONS['SPOOLERS'] names none for this queue and the"
            " settings have no BASE_DIR to find a default in. Set OPTIONS['SPOOLERS'] ="
            " {'default': '/absolute/path/to/spool'}."
        )
    return Path(base_dir) / "spool"


def entry_problems(entry: Mapping[str, Any]) -> list[str]:
    """Return which keys of an entry of TASKS nobody reads, one sentence each."""
    options = {option.name for option in fields(Options)}
    return [
        f"The entry has {key!r}: "
        + (
            "move it into its OPTIONS."
            if key in options
            else did_you_mean(str(key).upper(), _ENTRY_KEYS)
        )
        for key in entry
        if key not in _ENTRY_KEYS
    ]


def queues_problems(queues: object) -> list[str]:
    """Return what is wrong with QUEUES, one sentence each."""
    if not isinstance(queues, (list, tuple, set, frozenset)):
        return [f"QUEUES is {queues!r}: it must be a list of names, as in ['default', 'mail']."]
    return [problem for problem in map(queue_problem, queues) if problem]


def problems(raw: object) -> list[str]:
    """Return what is wrong with the raw OPTIONS, one sentence each."""
    if not isinstance(raw, Mapping):
        return [f"OPTIONS is {raw!r}: it must be a dictionary of option name to value."]
    known = [option.name for option in fields(Options)]
    found = [
        f"OPTIONS has an unknown entry {name!r}: {did_you_mean(str(name).upper(), known)}"
        for name in raw
        if name not in known
    ]
    for name, check in _CHECKS.items():
        if name in raw and (finding := check(raw[name])):
            found.append(f"OPTIONS[{name!r}] is {raw[name]!r}: {finding}.")
    if isinstance(raw.get("SPOOLERS"), Mapping):
        found.extend(_spooler_problems(raw["SPOOLERS"]))
    return found


def queue_problem(name: object) -> str | None:
    """Return why ``name`` cannot be a queue's name (it becomes a directory's), or None."""
    if isinstance(name, str) and _QUEUE_NAME.fullmatch(name) and len(name.encode()) <= 64:
        return None
    return (
        f"Queue name {name!r} cannot be a directory's name. Use 1 to 64 bytes, no leading dot"
        " and none of / \\ : ; or control characters."
    )


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about an unknown name: the one nearest to it, else all."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."


def as_seconds(value: Any) -> Any:
    """Return a timedelta in seconds, and whatever else as it is."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def seconds_problem(value: object) -> str | None:
    """Return why ``value`` is no duration in seconds, or None."""
    if _is_number(value) and 0 <= value < float("inf"):  # type: ignore[operator]
        return None
    return "it must be a number of seconds, zero or more"


def optional_seconds_problem(value: object) -> str | None:
    """Return why ``value`` is neither a duration above zero nor None, or None."""
    if value is None or (_is_number(value) and 0 < value < float("inf")):  # type: ignore[operator]
        return None
    return "it must be a number of seconds above zero, or None"


def positive_seconds_problem(value: object) -> str | None:
    """Return why ``value`` is no duration above zero, or None."""
    if value is not None and optional_seconds_problem(value) is None:
        return None
    return "it must be a number of seconds above zero"


def count_problem(value: object) -> str | None:
    """Return why ``value`` is no count above zero, or None."""
    if value is not None and optional_count_problem(value) is None:
        return None
    return "it must be a whole number, one or more"


def optional_count_problem(value: object) -> str | None:
    """Return why ``value`` is neither a count above zero nor None, or None."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return None
    return "it must be a whole number, one or more, or None"


def _boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "it must be True or False"


def one_of(*choices: object) -> Callable[[object], str | None]:
    """Return what tells why a value is none of the choices, or None."""

    def check(value: object) -> str | None:
        if value in choices:
            return None
        return f"it must be one of {', '.join(map(repr, choices))}"

    return check


def _dotted_path(value: object) -> str | None:
    if value is None or (isinstance(value, str) and all(map(str.isidentifier, value.split(".")))):
        return None
    return "it must be a dotted path, as in 'mysite.admin.site', or None"


def _mapping(value: object) -> str | None:
    if isinstance(value, Mapping):
        return None
    return "it must be a dictionary of queue name to spool directory"


_CHECKS = {
    "SPOOLERS": _mapping,
    "OUTSIDE_UWSGI": one_of("inline", "spool", "error"),
    "INLINE_RAISES": _boolean,
    "MAX_ATTEMPTS": optional_count_problem,
    "BACKOFF": seconds_problem,
    "BACKOFF_MAX": seconds_problem,
    "TIMEOUT": optional_seconds_problem,
    "TIMEOUT_GRACE": seconds_problem,
    "STOP_GRACE": seconds_problem,
    "ENQUEUE_ON_COMMIT": _boolean,
    "RESULTS": one_of(None, "database"),
    "SIGNED": _boolean,
    "FSYNC": _boolean,
    "FAILED_MAX_AGE": optional_seconds_problem,
    "FAILED_MAX_COUNT": optional_count_problem,
    "CRON": _boolean,
    "CRON_LEASE": positive_seconds_problem,
    "CRON_PROCESSES": count_problem,
    "CRON_LATE": positive_seconds_problem,
    "CRON_MAIL": _boolean,
    "CRON_HISTORY_MAX_AGE": optional_seconds_problem,
    "CRON_HISTORY_MAX_COUNT": optional_count_problem,
    "REQUEST_ID": _dotted_path,
    "ADMIN_SITE": _dotted_path,
    "ADMIN_BASE": _dotted_path,
}


def _spooler_problems(spoolers: Mapping[str, Any]) -> list[str]:
    found = []
    for queue, place in spoolers.items():
        if problem := queue_problem(queue):
            found.append(problem)
        if not isinstance(place, (str, os.PathLike)):
            found.append(
                f"OPTIONS['SPOOLERS'][{queue!r}] is {place!r}: it must be a path or address."
            )
            continue
        text = os.fspath(place)
        if text.startswith("uwsgi://"):
            if not _has_host_and_port(text):
                found.append(
                    f"OPTIONS['SPOOLERS'][{queue!r}] is {text!r}: an address needs a host and a"
                    " port, as in 'uwsgi://10.0.0.5:3031'."
                )
        elif not Path(text).is_absolute():
            found.append(
                f"OPTIONS['SPOOLERS'][{queue!r}] is {text!r}: a spool directory must be an absolute"
                f" path, since each process may stand elsewhere. Use BASE_DIR / {text!r}."
            )
    return found


def _has_host_and_port(address: str) -> bool:
    parts = urlsplit(address)
    try:
        return bool(parts.hostname and parts.port)
    except ValueError:
        return False
