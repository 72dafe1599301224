"""The queue as people and programs see it; command line and admin are skins over this.

Nothing here changes a file, and no file can break it: what cannot be read is told as such.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .envelope import read
from .exceptions import UnreadableTask
from .message import Attempt, Message
from .spool.directory import ALL_QUEUES, Spool
from .spool.files import names_if_open, names_in
from .spool.names import TaskName, order
from .spool.place import Place, parse_claimed_name, parse_level
from .spool.process import RUNNER, Card, cards

STATES = ("ready", "running", "scheduled", "failed")


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
    attempts: list[FailedAttempt] = field(default_factory=list)
    """Every attempt that failed, oldest first; those before a ``spooler retry`` too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One living process that runs tasks."""

    pid: int
    kind: str
    """"uwsgi", or "work" for the plain worker."""
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
    oldest_ready_age: float | None
    """Seconds since the oldest ready task became ready, None where none is."""
    paused: list[str]
    processes: list[Process]


def status(spool: Spool, queues: list[str]) -> Status:
    """Count the directory's tasks and find its processes."""
    ready = [name for _, name, _ in _ready_files(spool)]
    oldest = min(filter(None, (order(name)[0] for name in ready)), default=None)
    return Status(
        directory=spool.directory,
        queues=queues,
        ready=len(ready),
        running=sum(1 for _ in _running_files(spool)),
        scheduled=sum(1 for _ in _scheduled_files(spool)),
        failed=len(names_in(spool.path("failed"))),
        oldest_ready_age=None if oldest is None else max(0.0, time.time() - oldest / 1e6),
        paused=_paused(spool, queues),
        processes=[
            _process(spool, card) for card, alive in cards(spool) if alive and card.role == RUNNER
        ],
    )


def entries(spool: Spool, state: str) -> Iterator[Entry]:
    """Yield the files of one of the STATES: ready ones in their order, failed ones newest last."""
    if state == "failed":
        yield from _failed_entries(spool)
        return
    files = {"ready": _ready_files, "running": _running_files, "scheduled": _scheduled_files}[state]
    for path, name, place in sorted(files(spool), key=lambda file: (file[2].level, order(file[1]))):
        yield _entry(path, name, place, state)


def find(spool: Spool, identifier: str) -> Entry | None:
    """Return the task of this id, None where there is none; only ``failed`` is found unread."""
    if entry := spool.failed_entry(identifier):
        return _failed_entry(identifier, *entry)
    for state in STATES[:3]:
        for candidate in entries(spool, state):
            if candidate.id == identifier:
                return candidate
    return None


def _paused(spool: Spool, queues: list[str]) -> list[str]:
    marks = spool.paused()
    return sorted(queues if ALL_QUEUES in marks else marks)


def _ready_files(spool: Spool) -> Iterator[tuple[str, str, Place]]:
    for place, directory in _places(spool, "ready"):
        for name in names_if_open(directory):
            yield os.path.join(directory, name), name, place


def _scheduled_files(spool: Spool) -> Iterator[tuple[str, str, Place]]:
    for place, shelf in _places(spool, "scheduled"):
        for minute in names_if_open(shelf):
            for name in names_if_open(os.path.join(shelf, minute)):
                yield os.path.join(shelf, minute, name), name, place


def _running_files(spool: Spool) -> Iterator[tuple[str, str, Place]]:
    for process in names_in(spool.path("running")):
        for claimed in names_if_open(spool.path("running", process)):
            if parsed := parse_claimed_name(claimed):
                yield spool.path("running", process, claimed), parsed[1], parsed[0]


def _places(spool: Spool, state: str) -> Iterator[tuple[Place, str]]:
    for queue in names_in(spool.path(state)):
        for name in names_if_open(spool.path(state, queue)):
            if (level := parse_level(name)) is not None:
                yield Place(queue, level), spool.path(state, queue, name)


def _entry(path: str, name: str, place: Place, state: str) -> Entry:
    base = TaskName.parse(name)
    try:
        message, journal = read(path, signed=False)
    except (UnreadableTask, OSError) as error:
        return Entry(
            id=base.base,
            state=state,
            file=path,
            queue=place.queue,
            priority=place.priority,
            attempt=base.attempts,
            reason=str(error),
        )
    return Entry(
        id=message.id,
        state=state,
        file=path,
        queue=place.queue,
        priority=place.priority,
        attempt=base.attempts,
        **_told_by(message, journal),
    )


def _told_by(message: Message, journal: list[Attempt]) -> dict[str, Any]:
    return {
        "task": message.task,
        "enqueued_at": _utc(message.enqueued_at),
        "run_after": None if message.run_after is None else _utc(message.run_after),
        "args": message.args,
        "kwargs": message.kwargs,
        "attempts": [
            FailedAttempt(
                attempt=attempt.attempt,
                at=_utc(attempt.at),
                exception=attempt.exception,
                error=attempt.error,
                traceback=attempt.traceback,
                worker=attempt.worker,
            )
            for attempt in journal
        ],
    }


def _failed_entries(spool: Spool) -> Iterator[Entry]:
    for failed in sorted(spool.failed(), key=lambda entry: entry[2].at):
        yield _failed_entry(*failed)


def _failed_entry(identifier: str, path: str, why: Any) -> Entry:
    told: dict[str, Any] = {"task": why.task}
    attempt = TaskName.parse(os.path.basename(path)).attempts
    if why.task is not None:
        try:
            message, journal = read(path, signed=False)
            told = _told_by(message, journal)
            attempt = max([attempt, *(failed.attempt for failed in journal[-1:])])
        except (UnreadableTask, OSError):
            pass
    place = why.place
    return Entry(
        id=identifier,
        state="failed",
        file=path,
        queue=why.queue,
        priority=None if place is None else place.priority,
        attempt=attempt,
        reason=why.reason,
        traceback=why.traceback,
        **told,
    )


def _process(spool: Spool, card: Card) -> Process:
    for claimed in names_in(spool.path("running", card.name)):
        path = spool.path("running", card.name, claimed)
        try:
            message, _ = read(path, signed=False)
            # The claim was a rename, and a rename sets the ctime.
            return Process(
                pid=card.pid, kind=card.kind, task=message.task, since=_utc(os.lstat(path).st_ctime)
            )
        except (UnreadableTask, OSError):
            continue
    return Process(pid=card.pid, kind=card.kind, task=None, since=_utc(card.since))


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
