"""What an operator does: pause, resume and reload processes; retry, discard and hurry tasks."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from . import results
from .backend import signatures_required
from .backends import options_of
from .compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from .envelope import read
from .exceptions import SpoolerError, UnreadableTask
from .message import Message, encode, encode_attempt
from .overview import locate, processes
from .spool import packet
from .spool.directory import ALL_QUEUES, Draft, Spool
from .spool.files import modified, names_if_open, names_in
from .spool.listing import TaskFile
from .spool.names import TaskName
from .spool.place import Place, parse_claimed_name
from .spool.process import SERVER, SUPERVISOR, Card, cards, lives

_RESTART = 5.0
"""Seconds uWSGI's master has to start a spooler again; it looks once a second."""

_LOOK_PAUSE = 0.1
"""Seconds between two looks at what is waited for; there is no event across processes."""


def pause(spools: list[Spool], queue: str | None, *, wait: bool, timeout: float | None) -> None:
    """Let no task start, of one queue or of all; with ``wait``, return once none runs.

    ``timeout`` is in seconds. Raise SpoolerError where tasks still run then; the pause stays.
    """
    for spool in spools:
        spool.pause(queue)
    if not wait:
        return
    # Twice: a runner may be between its last look at the marks and its claim.
    for _ in range(2):
        if not _comes_true(lambda: not any(_is_running(spool, queue) for spool in spools), timeout):
            raise SpoolerError(
                f"Tasks still run after {timeout} s: {_what_runs(spools)}. The pause stays: call"
                " again to wait on, or resume."
            )
        time.sleep(_LOOK_PAUSE)


def resume(spools: list[Spool], queue: str | None, queues: dict[str, list[str]]) -> None:
    """Let tasks start again, of one queue or of all; where all were paused, the others stay paused.

    ``queues`` are those of each directory.
    """
    for spool in spools:
        if queue is not None and ALL_QUEUES in spool.paused():
            others = {*queues[spool.directory], *names_in(spool.path("ready"))} - {queue}
            for other in sorted(others):
                spool.pause(other)
            spool.resume(ALL_QUEUES)
        spool.resume(queue)


def reload(spools: list[Spool], *, timeout: float | None) -> int:
    """Let the supervisors on this host leave after their tasks and come back; return how many did.

    Each gets SIGHUP, ends with its runner, and its server starts it again. ``timeout`` is in
    seconds. Raise SpoolerError where there is none, one may not be signalled, or is not back in time:
    it goes on with its task, and leaves after it.
    """
    # One that has just left is started again by the server that is still there.
    patience = _RESTART if any(map(_servers, spools)) else 0.0
    _comes_true(lambda: any(map(_supervisors, spools)), patience)
    before = [(spool, card) for spool in spools for card in _supervisors(spool)]
    if not before:
        raise SpoolerError(
            "No spooler of a uWSGI on this host serves the directories of this site, so there is none"
            " to reload. A worker that was started by hand is stopped and started again."
        )
    for _, card in before:
        _hang_up(card)
    old = {card.name for _, card in before}

    def is_renewed(spool: Spool) -> bool:
        expected = sum(1 for other, _ in before if other is spool)
        return not _processes_of(spool, old) and len(_supervisors(spool)) >= expected

    if not _comes_true(lambda: all(map(is_renewed, spools)), timeout):
        leaving = {card.pid for spool in spools for card in _processes_of(spool, old)}
        running = _what_runs(spools, leaving)
        raise SpoolerError(
            f"Not all spoolers are back after {timeout} s."
            + (f" Still running: {running}." if running else "")
            + " Nothing was cut: each leaves after its task. Call again to wait on."
        )
    return len(before)


def _is_running(spool: Spool, queue: str | None) -> bool:
    """Tell whether a living process has claimed a task; what a dead one has left is put back."""
    return any(
        any(
            (parsed := parse_claimed_name(claimed)) and queue in (None, parsed[0].queue)
            for claimed in names_if_open(spool.path("running", process))
        )
        and lives(spool, process)
        for process in names_in(spool.path("running"))
    )


def _what_runs(spools: list[Spool], pids: set[int] | None = None) -> str:
    """Return the tasks that run, in these processes or in any, in words."""
    return ", ".join(
        f"{process.task} in process {process.pid}"
        for spool in spools
        for process in processes(spool)
        if process.task and (pids is None or process.pid in pids)
    )


def _supervisors(spool: Spool) -> list[Card]:
    return _of_uwsgi(spool, SUPERVISOR)


def _servers(spool: Spool) -> list[Card]:
    return _of_uwsgi(spool, SERVER)


def _of_uwsgi(spool: Spool, role: str) -> list[Card]:
    """Return the living processes of a uWSGI on this host that have this part."""
    return [
        card
        for card, alive in cards(spool)
        if alive
        and card.role == role
        and card.kind == "uwsgi"
        and card.host == socket.gethostname()
    ]


def _processes_of(spool: Spool, supervisors: set[str]) -> list[Card]:
    """Return the living processes among these supervisors and their runners."""
    return [
        card
        for card, alive in cards(spool)
        if alive and supervisors & {card.name, card.supervisor or ""}
    ]


def _hang_up(card: Card) -> None:
    try:
        os.kill(card.pid, signal.SIGHUP)
    except PermissionError as error:
        raise SpoolerError(
            f"Spooler process {card.pid} belongs to another user. Run this as the site's user."
        ) from error
    except ProcessLookupError:
        pass


def _comes_true(condition: Callable[[], bool], timeout: float | None) -> bool:
    """Wait for the condition, ``timeout`` seconds at most; tell whether it came true."""
    until = None if timeout is None else time.monotonic() + timeout
    while not condition():
        if until is not None and time.monotonic() >= until:
            return False
        time.sleep(_LOOK_PAUSE)
    return True


# What is done to single tasks


def find(
    spools: list[Spool], identifiers: Iterable[str], seconds: float | None = None
) -> Iterator[tuple[str, Spool, TaskFile]]:
    """Yield where the tasks of these ids stand, without those that are not found.

    Files are read for ``seconds`` at most in each directory.
    """
    missing = dict.fromkeys(identifiers)
    for spool in spools:
        for identifier, file in locate(spool, list(missing), seconds):
            del missing[identifier]
            yield identifier, spool, file


def retry(spool: Spool, file: TaskFile) -> bool:
    """Put a failed task back; False where it is none any more. Raise SpoolUnavailable."""
    return file.state == "failed" and spool.retry(file.name)


def discard(spool: Spool, file: TaskFile) -> bool:
    """Delete a task that failed or waits; False where it is gone, or runs by now.

    Raise SpoolUnavailable where the directory does not allow it.
    """
    if file.state == "failed":
        return spool.discard(file.name)
    return file.state in _WAITING and spool.discard_waiting(file.path)


def run_now(spool: Spool, file: TaskFile) -> bool:
    """Let a scheduled task run at once; False where it is none any more, or cannot be run.

    Raise SpoolUnavailable where the directory does not allow it.
    """
    # Without its time: a consumer keeps to the time a message tells.
    return file.state == "scheduled" and _rewrite(spool, file, run_after=None)


def prioritize(spool: Spool, file: TaskFile, priority: int) -> bool:
    """Give a waiting task another priority; False where it waits no more, or cannot be run.

    Raise SpoolerError for what is no priority, SpoolUnavailable where the directory does not allow
    it.
    """
    if not TASK_MIN_PRIORITY <= priority <= TASK_MAX_PRIORITY:
        raise SpoolerError(
            f"{priority} is no priority. Choose one from {TASK_MIN_PRIORITY} to {TASK_MAX_PRIORITY}."
        )
    return file.state in _WAITING and _rewrite(spool, file, priority=priority)


_WAITING = ("ready", "scheduled")


def _rewrite(spool: Spool, file: TaskFile, **changes: Any) -> bool:
    """Write a task's message anew: it has to tell of the place its file stands in."""
    try:
        old, journal = read(file.path, signed=signatures_required())
        due = modified(file.path)
    except (UnreadableTask, FileNotFoundError):
        return False
    if file.place != Place.of(old.queue, old.priority):
        return False  # it was not put there by us, and is set aside when its turn comes
    message = replace(old, **changes)
    line = encode(message, signed=signatures_required())
    is_due = file.state == "ready" or message.run_after is None
    name = TaskName.parse(file.name)
    if is_due and file.state == "scheduled":
        name = replace(name, ready_at=time.time_ns() // 1000)
    draft = Draft(
        packet.encode(packet.MARK, line + b"".join(map(encode_attempt, journal))),
        Place.of(message.queue, message.priority),
        None if is_due else due,
    )
    options = options_of(message.backend)
    is_done = spool.rewrite(
        file.path, draft, name, identifier=message.id, task=message.task, fsync=options.FSYNC
    )
    if is_done:
        results.note_terms(message, options)
    return is_done


def failed_call(spools: list[Spool], identifier: str, task: str) -> Message | None:
    """Return a failed call of a task as it was queued, None where there is none."""
    for spool in spools:
        if found := spool.failed_entry(identifier):
            try:
                message, _ = read(found[0], signed=signatures_required())
            except (UnreadableTask, OSError):
                return None
            return message if message.task == task else None
    return None
