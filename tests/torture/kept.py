"""Accepted is kept, and never two at a time.

Fault model: any spooler, runner or web worker may get SIGKILL at any time, alone, with its children
or as soon as it is born, the master too; the server is reloaded and stopped meanwhile, a plain
worker serves the same directory, and the command line lists and retries. What ``enqueue`` accepted
must have run to its end or stand in ``failed``.
"""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .server import SETUPS, Server, running

_RUN = 10_000
FULL = _RUN * len(SETUPS)


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Run ``size`` tasks, in equal parts bare and as shipped; 300 kills for 10,000 tasks."""
    figures = {}
    for number, (name, ini) in enumerate(SETUPS.items()):
        found = _run(directory / name, random.Random(seed + number), size // len(SETUPS), ini)
        figures.update({f"{name}: {figure}": value for figure, value in found.items()})
    return figures


def _run(directory: Path, chance: random.Random, size: int, ini: Path | None) -> dict[str, Any]:
    with running(directory, spoolers=3, ini=ini, arguments=("--die-on-term",)) as server:
        torture = _Torture(server, chance, size)
        with torture.company():
            torture.hurt(max(8, 300 * size // _RUN), scale=size / _RUN)
        server.eventually(server.is_drained, "all tasks are done", 180)
        server.eventually(
            lambda: set(server.cards()) <= set(server.processes()), "the dead are buried"
        )
        server.eventually(server.holds_nothing_unfinished, "and nothing of them is left in tmp")
        ledger, failed = server.ledger, server.failed()
        counts = server.status()
    assert server.is_drained() and counts["ready"] == counts["running"] == counts["scheduled"] == 0
    assert not list((server.tree / "tmp").iterdir()), "something is left in tmp"
    in_failed = {entry["args"][0] for entry in failed if entry["task"]}
    lost = ledger.accepted - set(ledger.ends) - in_failed
    assert not lost, f"lost: {sorted(lost)[:20]}"
    assert torture.all_accepted >= ledger.accepted
    assert ledger.overlaps == 0, f"{ledger.overlaps} overlaps"
    repeats = sum(len(times) - 1 for number, times in ledger.starts.items() if number < size)
    assert repeats <= torture.killed, f"{repeats} repeats, {torture.killed} kills"
    cut_short = [entry for entry in failed if entry["task"] is None]
    assert len(cut_short) <= torture.done["kills of web workers"], cut_short
    return {
        "accepted": len(ledger.accepted),
        "lost": 0,
        "overlaps": 0,
        "repeats": repeats,
        "in failed": len(in_failed),
        **torture.done,
    }


class _Torture:
    def __init__(self, server: Server, chance: random.Random, size: int) -> None:
        self._server = server
        self._chance = chance
        self._size = size
        self._over = threading.Event()
        self._enqueued = 0
        self.killed = 0
        self.done = {
            "kills of spoolers": 0,
            "kills of runners": 0,
            "kills of web workers": 0,
            "kills of the master": 0,
            "reloads": 0,
            "stops": 0,
            "commands": 0,
            "seconds": 0.0,
        }

    @property
    def all_accepted(self) -> set[int]:
        return set(range(self._enqueued))

    @contextlib.contextmanager
    def company(self):  # type: ignore[no-untyped-def]
        """Serve the directory with a plain worker too, and let the command line look and retry."""
        self._worker = self._start_worker()
        commands = threading.Thread(target=self._command_line)
        commands.start()
        began = time.monotonic()
        try:
            yield
            self._server.eventually(self._server.is_drained, "the backlog is worked off", 180)
        finally:
            self._over.set()
            commands.join()
            os.kill(self._worker.pid, signal.SIGTERM)
            assert self._worker.wait(90) == 0
            self.done["seconds"] = round(time.monotonic() - began, 1)

    def _start_worker(self):  # type: ignore[no-untyped-def]
        return self._server.spawn(
            sys.executable, "-m", "django", "spooler", "work", "--processes", "2"
        )

    def _command_line(self) -> None:
        while not self._over.wait(0.5):
            for command in (
                ["status", "--json"],
                ["list", "--json"],
                ["list", "--state", "failed"],
            ):
                self._server.manage(*command)
            with contextlib.suppress(AssertionError):  # one may be retried by nobody else, or gone
                self._server.manage("retry", "--all", "--task", "tests.torture.site.tasks.fail")
            self.done["commands"] += 4

    def hurt(self, kills: int, scale: float) -> None:
        """Enqueue in portions, and between two of them let something happen."""
        events = [self._kill_one] * kills
        for event, number in ((self._reload, 5), (self._stop, 3), (self._kill_master, 2)):
            events += [event] * max(1, round(number * scale))
        self._chance.shuffle(events)
        for left in range(len(events), 0, -1):
            self._enqueue((self._size - self._enqueued) // left)
            time.sleep(self._chance.uniform(0, 0.2))
            events[left - 1]()

    @contextlib.contextmanager
    def _enqueueing(self) -> Iterator[None]:
        posting = threading.Thread(target=self._enqueue, args=(10,))
        posting.start()
        try:
            yield
        finally:
            posting.join()

    def _enqueue(self, number: int) -> None:
        first, self._enqueued = self._enqueued, self._enqueued + number
        durations = [self._chance.uniform(1, 20) for _ in range(number)]
        if self._chance.random() < 0.8:
            query = ",".join(f"{duration:.1f}" for duration in durations)
            with contextlib.suppress(OSError, HTTPException):  # the ledger tells how far
                self._server.get(f"/enqueue?first={first}&ms={query}")
        else:
            self._server.shell(
                f"for n, ms in enumerate({durations}, {first}): work.enqueue(n, ms); note('accepted', n)\n"
                f"fail.enqueue({first + 1_000_000})"
            )

    def _kill_one(self) -> None:
        """SIGKILL one process, or a spooler with all its children, or one that was just born."""
        self._chance.choice(
            [
                self._kill_spooler,
                self._kill_spooler,
                self._kill_family,
                self._kill_runner,
                self._kill_newborn,
                self._kill_runner_of_work,
                self._kill_web_worker,
            ]
        )()

    def _kill(self, kind: str, pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.killed += 1
            self.done[f"kills of {kind}"] += 1

    def _one(self, find: Callable[[], list[int]]) -> list[int]:
        return [self._chance.choice(self._server.eventually(find, "a process to kill"))]

    def _kill_spooler(self) -> None:
        self._kill("spoolers", self._one(self._server.spoolers))

    def _kill_family(self) -> None:
        """Kill a runner and, while its death is being dealt with, its spooler, or the reverse."""
        (spooler,) = self._one(self._server.spoolers)
        children = self._server.children(spooler)
        if self._chance.random() < 0.5:
            self._kill("spoolers", [spooler])
        self._kill("runners", children)
        time.sleep(self._chance.uniform(0, 0.01))
        self._kill("spoolers", [spooler])

    def _kill_runner(self) -> None:
        self._kill("runners", self._one(self._server.runners))

    def _kill_newborn(self) -> None:
        """Kill a runner, and the next one before it has written its card, or soon after."""
        (spooler,) = self._one(self._server.spoolers)
        before = self._server.children(spooler)
        self._kill("runners", before)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            if born := [pid for pid in self._server.children(spooler) if pid not in before]:
                time.sleep(self._chance.choice([0, 0, 0.005, 0.02]))
                self._kill("runners", born)
                return

    def _kill_runner_of_work(self) -> None:
        self._kill("runners", self._one(lambda: self._server.runners("work")))

    def _kill_web_worker(self) -> None:
        """Kill one that is busy accepting tasks."""
        with self._enqueueing():
            time.sleep(self._chance.uniform(0, 0.01))
            self._kill("web workers", self._one(self._server.web_workers))

    def _reload(self) -> None:
        self._server.reload()
        self.done["reloads"] += 1

    def _stop(self) -> None:
        self._server.stop(self._chance.choice([signal.SIGINT, signal.SIGTERM]))
        self._server.start()
        self.done["stops"] += 1

    def _kill_master(self) -> None:
        self._server.kill_master()
        self._server.start()
        self.killed += 1
        self.done["kills of the master"] += 1
