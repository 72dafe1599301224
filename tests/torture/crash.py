"""No crash loop, and a deploy uses up no attempt.

A task that takes its process with it runs ``max_attempts`` times with a pause between, then stands
in ``failed`` with what killed it; the tasks beside it go on. A task that a reload or stop cuts, even
by SIGKILL of everything at once, has all its attempts left.
"""

import os
import random
import signal
from pathlib import Path
from typing import Any

from .server import Server, running, touch

FULL = 20
DEATHS = {
    "kill": "signal 9",
    "segfault": "signal 11",
    "exit": "exit code 3",
    "leave": "exit code 0",
    "abort": "signal 6",
    "memory": "signal 11",
}


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Let ``size`` tasks of each kind die; then cut long tasks by every kind of deploy."""
    figures = _crash(directory / "crash", random.Random(seed), size)
    return figures | _deploy(directory / "deploy")


def _crash(directory: Path, chance: random.Random, size: int) -> dict[str, Any]:
    with running(directory, spoolers=2) as server:
        calls = [f"die.enqueue({n}, {how!r})" for n, how in enumerate(list(DEATHS) * size)]
        calls += [f"work.enqueue({n}, 2)" for n in range(100_000, 100_000 + 50 * size)]
        chance.shuffle(calls)
        server.shell("\n".join(calls))
        server.eventually(server.is_drained, "all is done or failed", 60 + 15 * size)
        ledger, failed = server.ledger, server.failed()
    assert len(failed) == len(DEATHS) * size
    pauses = []
    for entry in failed:
        number, how = entry["args"]
        assert f"killed the process ({DEATHS[how]})" in entry["reason"], entry["reason"]
        assert entry["attempt"] == 3 and len(ledger.starts[number]) == 3, entry
        first, second, third = ledger.starts[number]
        assert second - first >= 0.3 and third - second >= 0.6, "no backoff"
        pauses.append(second - first)
    assert all(ledger.ends[number] for number in range(100_000, 100_000 + 50 * size))
    return {
        "tasks that killed their process": len(failed),
        "starts of each": 3,
        "good tasks beside": 50 * size,
        "median pause before the 2nd try": sorted(pauses)[len(pauses) // 2],
    }


def _deploy(directory: Path) -> dict[str, Any]:
    """Cut a task in each way a deploy can, and look at its attempts."""
    options = {"MAX_ATTEMPTS": 1, "STOP_GRACE": 0.5}
    touched = directory / "touch-spoolers-reload"
    directory.mkdir(parents=True)
    touched.touch()
    arguments = ("--die-on-term", "--touch-spoolers-reload", str(touched))
    with running(directory, spoolers=2, options=options, arguments=arguments) as server:
        cuts = (
            Server.reload,
            _stop,
            _terminate,
            _kill_all,
            _touch_spoolers_reload,
            _kill_spoolers,
        )
        for number, cut in enumerate(cuts):
            server.shell(f"stay.enqueue({number})")
            server.eventually(lambda n=number: server.ledger.starts[n], "the task has started")
            cut(server)
            server.eventually(
                lambda n=number: len(server.ledger.starts[n]) == 2, f"again after {cut.__name__}"
            )
            (server.directory / f"leave-{number}").touch()
            server.eventually(lambda n=number: server.ledger.ends[n], "and to its end")
        server.eventually(server.is_drained, "all is settled")
        ledger = server.ledger
        assert not server.failed(), server.failed()
        assert ledger.overlaps == 0
    return {
        "tasks cut by a deploy, with max_attempts=1": len(cuts),
        "of them run again": sum(len(times) - 1 for times in ledger.starts.values()),
        "in failed": 0,
    }


def _stop(server: Server) -> None:
    server.stop()
    server.start()


def _terminate(server: Server) -> None:
    server.stop(signal.SIGTERM)
    server.start()


def _kill_all(server: Server) -> None:
    """What systemd does past TimeoutStopSec."""
    for pid in server.processes():
        os.kill(pid, signal.SIGKILL)
    server.wait_for_end()
    server.start()


def _touch_spoolers_reload(server: Server) -> None:
    """uWSGI's own way: SIGHUP, and SIGKILL a second later."""
    touch(server.directory / "touch-spoolers-reload")


def _kill_spoolers(server: Server) -> None:
    """Their runners outlive them for the grace of a stop: no fault of the task."""
    for pid in server.spoolers():
        os.kill(pid, signal.SIGKILL)
