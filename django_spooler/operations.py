"""What an operator does: pause, resume and reload processes; retry, discard and hurry tasks."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .backends import signatures_required
from .envelope import read
from .exceptions import SpoolerError, UnreadableTask
from .executors.base import MARK
from .message import encode, encode_attempt
from .overview import find_file, processes
from .spool import packet
from .spool.directory import ALL_QUEUES, Spool
from .spool.files import names_if_open, names_in
from .spool.listing import TaskFile
from .spool.names import TaskName
from .spool.place import parse_claimed_name
from .spool.process import SUPERVISOR, Card, cards

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


def resume(spools: list[Spool], queue: str | None) -> None:
    """Let tasks start again."""
    for spool in spools:
        spool.resume(queue)


def reload(spools: list[Spool], *, timeout: float | None) -> int:
    """Let the supervisors on this host leave after their tasks and come back; return how many did.

    Each gets SIGHUP, ends with its runner, and its server starts it again. ``timeout`` is in
    seconds. Raise SpoolerError where one may not be signalled, or is not back in time: it goes on
    with its task, and leaves after it.
    """
    before = [(spool, card) for spool in spools for card in _supervisors(spool)]
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
    return any(
        (parsed := parse_claimed_name(claimed)) and queue in (None, parsed[0].queue)
        for process in names_in(spool.path("running"))
        for claimed in names_if_open(spool.path("running", process))
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
    return [
        card
        for card, alive in cards(spool)
        if alive
        and card.role == SUPERVISOR
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


def retry(spools: list[Spool], identifier: str) -> bool:
    """Put a failed task back; False where none has the id. Raise SpoolUnavailable."""
    return any(spool.retry(identifier) for spool in spools)


def discard(spools: list[Spool], identifier: str) -> bool:
    """Delete a task that failed or waits; False where none has the id, or it runs by now.

    Raise SpoolUnavailable where the directory does not allow it.
    """
    if any(spool.discard(identifier) for spool in spools):
        return True
    found = _find_waiting(spools, identifier, "ready", "scheduled")
    return found is not None and found[0].discard_waiting(found[1].path)


def run_now(spools: list[Spool], identifier: str) -> bool:
    """Let a scheduled task run at once; False where none that can be run has the id.

    Raise SpoolUnavailable where the directory does not allow it.
    """
    found = _find_waiting(spools, identifier, "scheduled")
    return found is not None and _run_now(*found)


def _find_waiting(
    spools: list[Spool], identifier: str, *states: str
) -> tuple[Spool, TaskFile] | None:
    for spool in spools:
        file = find_file(spool, identifier)
        if file and file.state in states:
            return spool, file
    return None


def _run_now(spool: Spool, file: TaskFile) -> bool:
    """Write the task anew without its time: a consumer keeps to the time a message tells."""
    assert file.place
    try:
        message, journal = read(file.path, signed=signatures_required())
    except (UnreadableTask, FileNotFoundError):
        return False
    line = encode(replace(message, run_after=None), signed=signatures_required())
    content = packet.encode(MARK, line + b"".join(map(encode_attempt, journal)))
    ready = replace(TaskName.parse(file.name), ready_at=time.time_ns() // 1000)
    return spool.rewrite(file.path, content, ready, file.place, message.id, message.task)


def failed_call(
    spools: list[Spool], identifier: str, task: str
) -> tuple[list[Any], dict[str, Any]] | None:
    """Return the arguments of a failed call of a task as they are, None where there is none."""
    for spool in spools:
        if found := spool.failed_entry(identifier):
            try:
                message, _ = read(found[0], signed=signatures_required())
            except (UnreadableTask, OSError):
                return None
            return (message.args, message.kwargs) if message.task == task else None
    return None


def resume_queue(spools: list[Spool], queue: str, queues: dict[str, list[str]]) -> None:
    """Let one queue be worked on again, also where all were paused at once."""
    for spool in spools:
        others = set(queues[spool.directory]) - {queue} if ALL_QUEUES in spool.paused() else ()
        for other in sorted(others):
            spool.pause(other)
        spool.resume(ALL_QUEUES)
        spool.resume(queue)
