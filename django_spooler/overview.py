"""The queue as people and programs see it; command line and admin are skins over this.

Nothing here changes a file, and no file can break it: what cannot be read is told as such.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .backends import served_directories
from .envelope import read
from .exceptions import UnreadableTask
from .message import Attempt, Message
from .others import OURS, origin_of
from .redaction import may_hold_secrets, redacted
from .spool.directory import ALL_QUEUES, Spool
from .spool.files import is_gone, modified, names_in, read_file
from .spool.listing import OTHER, STATES, Tally, TaskFile, count, files, near, oldest_ready, other
from .spool.names import TaskName, as_text, id_time
from .spool.process import RUNNER, Card, cards
from .spool.reason import LOST, Reason

ALL = sys.maxsize
FAILED_READ = 1000
"""Failed tasks, the last ones, that are read for a count by queue: some 50 ms."""

_RAW_SIZE = 4000
"""Bytes that are shown of a foreign file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One attempt that did not succeed."""

    attempt: int
    at: datetime
    """When it ended."""
    exception: str
    """The class's dotted path."""
    error: str
    """Its class and text in one line."""
    traceback: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task file. Times are aware datetimes in UTC."""

    id: str
    state: str
    file: str
    task: str | None = None
    """The dotted path, None where the file could not be read as a task."""
    queue: str | None = None
    priority: int | None = None
    attempt: int = 0
    """Attempts used up."""
    enqueued_at: datetime | None = None
    run_after: datetime | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    reason: str | None = None
    traceback: str | None = None
    due: datetime | None = None
    """When a scheduled one is made ready."""
    failed_at: datetime | None = None
    """When a failed one was set aside."""
    attempts: list[FailedAttempt] = field(default_factory=list)
    """Every attempt that failed, oldest first; those before a ``spooler retry`` too."""
    library: str | None = None
    """The import name of the library that one of OTHER is for, "" where that is not known."""
    process: int | None = None
    """The pid of what runs one of OTHER."""

    @property
    def shown_file(self) -> str:
        """The path as text, whatever bytes it is of."""
        return as_text(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One living process that runs tasks."""

    pid: int
    kind: str
    """"uwsgi", or "work" for the plain worker."""
    host: str
    task: str | None
    """The dotted path of what it runs now."""
    since: datetime
    """When it began that, or else itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One spool directory in figures."""

    directory: str
    queues: list[str]
    ready: int
    running: int
    scheduled: int
    failed: int
    other: int
    """Files of other libraries."""
    oldest_ready_age: float | None
    """Seconds since the oldest ready task became ready, None where none is."""
    paused: list[str]
    processes: list[Process]


def site_spools() -> list[Spool]:
    """Return the spool directories of the site. Raise SpoolUnavailable for one that is closed to us."""
    found = [Spool(directory) for directory in served_directories()]
    for spool in found:
        spool.require_access()
    return found


def status(spool: Spool, queues: list[str], *, most: int = ALL) -> Status:
    """Count the directory's tasks, each state up to ``most``, and find its processes."""
    oldest = oldest_ready(spool)
    return Status(
        directory=spool.directory,
        queues=queues,
        **{state: count(spool, state, most) for state in (*STATES, OTHER)},
        oldest_ready_age=None if oldest is None else max(0.0, time.time() - oldest),
        paused=paused(spool, queues),
        processes=processes(spool),
    )


def failed_by_queue(spool: Spool) -> dict[str, Tally]:
    """Count the failed tasks by queue; the queue of those that are not read, or tell none, is ""."""
    found: dict[str, Tally] = {}
    for number, file in enumerate(files(spool, "failed", backwards=True)):
        entry = spool.failed_entry(file.name) if number < FAILED_READ else None
        queue = entry[1].queue if entry else None
        found.setdefault(queue or "", Tally()).add(1, id_time(file.name))
    return found


def processes(spool: Spool) -> list[Process]:
    """Return the living processes that run the directory's tasks."""
    return [_process(spool, card) for card, alive in cards(spool) if alive and card.role == RUNNER]


def process_of(spool: Spool, file: TaskFile) -> Process | None:
    """Return the living process that runs a task, None where none does."""
    name = os.path.basename(os.path.dirname(file.path)) if file.state == "running" else None
    return next(
        (_process(spool, card) for card, alive in cards(spool) if alive and card.name == name), None
    )


def entries(spool: Spool, state: str) -> Iterator[Entry]:
    """Yield the files of one of the STATES: ready ones in their order, failed ones newest last."""
    if state == "failed":
        yield from _failed_entries(spool)
        return
    for file in files(spool, state):
        if entry := entry_of(spool, file):
            yield entry


def find(spool: Spool, identifier: str) -> Entry | None:
    """Return the task of this id, None where there is none; only ``failed`` is found unread."""
    found = find_file(spool, identifier)
    return None if found is None else entry_of(spool, found)


def find_file(spool: Spool, identifier: str, seconds: float | None = None) -> TaskFile | None:
    """Return where the task of this id stands, None where there is none; as ``locate`` does."""
    return next((file for _, file in locate(spool, [identifier], seconds)), None)


def locate(
    spool: Spool,
    identifiers: Iterable[str],
    seconds: float | None = None,
    *,
    only_close: bool = False,
) -> Iterator[tuple[str, TaskFile]]:
    """Yield the ids that are found, each with where its task stands; the directory is listed once.

    Tasks enqueued when the ids were made are read first, the others for ``seconds`` at most; none of
    these with ``only_close``.
    """
    missing = dict.fromkeys(identifiers)
    for identifier in list(missing):
        if spool.failed_file(identifier):
            del missing[identifier]
            path = spool.path("failed", identifier)
            yield identifier, TaskFile("failed", path, identifier, None)
    until = None
    for file in near(spool, missing, only_close=only_close) if missing else ():
        if seconds is not None:
            until = until or time.monotonic() + seconds  # all were listed then
        if (identifier := _identifier(file)) in missing:
            del missing[identifier]
            yield identifier, file
        if not missing or (until and time.monotonic() > until):
            break
    for identifier in missing:
        if file_of_others := other(spool, identifier):
            yield identifier, file_of_others


def entry_of(spool: Spool, file: TaskFile) -> Entry | None:
    """Return what a file tells, None where it is gone meanwhile."""
    if file.state == "failed":
        found = spool.failed_entry(file.name)
        return _failed_entry(file.name, *found) if found else None
    entry = _other_entry(file) if file.state == OTHER else _entry(file)
    return None if entry.task is None and is_gone(file.path) else entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What only the page of one task shows."""

    size: int | None
    """Bytes."""
    raw: str
    """The beginning of a file that is no task of ours."""


def detail(entry: Entry) -> Detail:
    """Return size and, of what is no task, the raw content: never that of a task that redacts."""
    try:
        size = os.lstat(entry.file).st_size
        raw = (
            ""
            if entry.task and entry.library is None
            else repr(read_file(entry.file, _RAW_SIZE))[2:-1]
        )
    except (UnreadableTask, OSError):
        return Detail(size=None, raw="")
    return Detail(size=size, raw="" if may_hold_secrets(raw) else raw)


def _identifier(file: TaskFile) -> str:
    try:
        return read(file.path, signed=False)[0].id
    except (UnreadableTask, OSError):
        return as_text(TaskName.parse(file.name).base)


def paused(spool: Spool, queues: list[str]) -> list[str]:
    """Return which of the directory's queues are paused."""
    marks = spool.paused()
    return sorted(queues if ALL_QUEUES in marks else marks)


def _entry(file: TaskFile) -> Entry:
    assert file.place
    base = TaskName.parse(file.name)
    known: dict[str, Any] = {
        "state": file.state,
        "file": file.path,
        "queue": file.place.queue,
        "priority": file.place.priority,
        "attempt": base.attempts,
        "due": _utc(file.time) if file.state == "scheduled" else None,
    }
    try:
        message, journal = read(file.path, signed=False)
    except (UnreadableTask, OSError) as error:
        return Entry(id=as_text(base.base), reason=str(error), **known)
    told, _ = _told_by(message, journal)
    return Entry(id=message.id, **known, **told)


def _other_entry(file: TaskFile) -> Entry:
    """Return what is told by a file that uWSGI's own loop will come to.

    One of ours is there for a moment only, where a spooler process lives to take it in.
    """
    told: dict[str, Any] = {"enqueued_at": _utc(file.time)}
    due = modified(file.path)
    if due > time.time():
        told["due"] = _utc(due)
    try:
        origin = origin_of(file.path)
        if origin is not None and origin.library == OURS:
            message, journal = read(file.path, signed=False)
            told |= _told_by(message, journal)[0]
        elif origin is not None:
            told |= {
                "task": origin.function,
                "library": origin.library,
                "process": origin.runs_in,
            }
    except UnreadableTask as error:
        told["reason"] = str(error)
    except OSError as error:
        told["reason"] = f"it cannot be read: {error.strerror}"
    return Entry(id=as_text(file.name), state=OTHER, file=file.path, **told)


def _told_by(
    message: Message, journal: list[Attempt]
) -> tuple[dict[str, Any], Callable[[str], str]]:
    """Return what a message and its journal tell, and what hides secrets in other texts of it."""
    args, kwargs, hide = redacted(message)
    told = {
        "task": message.task,
        "enqueued_at": _utc(message.enqueued_at),
        "run_after": None if message.run_after is None else _utc(message.run_after),
        "args": args,
        "kwargs": kwargs,
        "attempts": [
            FailedAttempt(
                attempt=attempt.attempt,
                at=_utc(attempt.at),
                exception=attempt.exception,
                error=hide(attempt.error),
                traceback=hide(attempt.traceback),
                worker=attempt.worker,
            )
            for attempt in journal
        ],
    }
    return told, hide


def _failed_entries(spool: Spool) -> Iterator[Entry]:
    for failed in sorted(spool.failed(), key=lambda entry: entry[2].at):
        yield _failed_entry(*failed)


def _failed_entry(identifier: str, path: str, why: Reason) -> Entry:
    told: dict[str, Any] = {
        "task": why.task,
        "queue": why.queue,
        "priority": None if why.place is None else why.place.priority,
    }
    hide: Callable[[str], str] = str
    attempt = TaskName.parse(os.path.basename(path)).attempts
    if why.task is not None or why.reason == LOST:
        try:
            message, journal = read(path, signed=False)
            found, hide = _told_by(message, journal)
            if why.place is None:
                told |= {"queue": message.queue, "priority": message.priority}
            told |= found
            if journal:
                attempt = max(attempt, journal[-1].attempt)
                why = _with_what_is_known(why, journal[-1])
        except (UnreadableTask, OSError):
            pass
    return Entry(
        id=identifier,
        state="failed",
        file=path,
        attempt=attempt,
        reason=hide(why.reason),
        traceback=hide(why.traceback),
        failed_at=_utc(why.at),
        **told,
    )


def _with_what_is_known(why: Reason, latest: Attempt) -> Reason:
    """Return the reason, where it is lost the end of the latest attempt that is noted."""
    if why.reason != LOST:
        return why
    reason = f"{latest.error} (attempt {latest.attempt}; {LOST})"
    return replace(why, reason=reason, traceback=latest.traceback)


def _process(spool: Spool, card: Card) -> Process:
    for claimed in names_in(spool.path("running", card.name)):
        path = spool.path("running", card.name, claimed)
        try:
            message, _ = read(path, signed=False)
            # The claim was a rename, and a rename sets the ctime.
            task, since = message.task, os.lstat(path).st_ctime
            break
        except (UnreadableTask, OSError):
            continue
    else:
        task, since = None, card.since
    return Process(pid=card.pid, kind=card.kind, host=card.host, task=task, since=_utc(since))


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
