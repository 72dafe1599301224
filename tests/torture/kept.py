"""Accepted is kept, and never two at a time.

Fault model: any spooler or runner may get SIGKILL at any time, the master too; the server is
reloaded and stopped meanwhile, a plain worker serves the same directory, and the command line lists
and retries. What ``enqueue`` accepted must have run to its end or stand in ``failed``.
"""

import contextlib
import os
import random
import signal
import sys
import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

from .server import Server, running

FULL = 10_000


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Run ``size`` tasks; faults are in proportion, 300 kills for 10,000."""
    chance = random.Random(seed)
    kills = max(6, 300 * size // FULL)
    with running(directory, spoolers=3, arguments=("--die-on-term",)) as server:
        torture = _Torture(server, chance, size)
        with torture.company():
            torture.hurt(kills, scale=size / FULL)
        server.eventually(server.is_drained, "all tasks are done", 180)
        ledger, failed = server.ledger, server.failed()
        assert not list((server.tree / "tmp").glob("uwsgi_*")), "a half-written file is left"
    in_failed = {entry["args"][0] for entry in failed if entry["task"]}
    lost = ledger.accepted - set(ledger.ends) - in_failed
    assert not lost, f"lost: {sorted(lost)[:20]}"
    assert torture.all_accepted >= ledger.accepted
    assert ledger.overlaps == 0, f"{ledger.overlaps} overlaps"
    repeats = sum(len(times) - 1 for number, times in ledger.starts.items() if number < size)
    assert repeats <= torture.killed, f"{repeats} repeats, {torture.killed} kills"
    assert not any(entry["task"] is None for entry in failed), failed
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

    def _enqueue(self, number: int) -> None:
        first, self._enqueued = self._enqueued, self._enqueued + number
        durations = [self._chance.uniform(1, 20) for _ in range(number)]
        if self._chance.random() < 0.8:
            query = ",".join(f"{duration:.1f}" for duration in durations)
            with contextlib.suppress(OSError, urllib.error.URLError):  # the ledger tells how far
                self._server.get(f"/enqueue?first={first}&ms={query}")
        else:
            self._server.shell(
                f"for n, ms in enumerate({durations}, {first}): work.enqueue(n, ms); note('accepted', n)\n"
                f"fail.enqueue({first + 1_000_000})"
            )

    def _kill_one(self) -> None:
        """SIGKILL a spooler, a runner of uWSGI's, or a runner of the plain worker's."""
        kind = self._chance.choice(["spooler", "spooler", "runner", "work"])
        pids = {
            "spooler": self._server.spoolers,
            "runner": self._server.runners,
            "work": lambda: self._server.runners("work"),
        }[kind]()
        if not pids:  # all of them are on their way back
            pids = self._server.eventually(self._server.spoolers, "a spooler to kill")
            kind = "spooler"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._chance.choice(pids), signal.SIGKILL)
        self.killed += 1
        self.done["kills of spoolers" if kind == "spooler" else "kills of runners"] += 1

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
