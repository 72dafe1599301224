"""Stop and reload: what cuts a task, what does not, and what no deploy leaves behind.

A runner outlives its spooler and its server for as long as its task takes, up to a grace. So a bare
SIGHUP, SIGTERM, ``touch-reload``, ``touch-spoolers-reload``, stop and even a SIGKILL of spooler or
master cut nothing; SIGKILL of everything does, and uses up no attempt. New processes serve at once
and have the port, and ``pause --wait`` lets nothing run beside a change.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .server import SETUPS, Server, running, touch

FULL = 20
MAX_CUTS = 3


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Deploy ``size`` times in ways chosen by chance, each way at least once, bare and shipped."""
    figures = {}
    for name, ini in SETUPS.items():
        found = _run(directory / name, random.Random(seed), size, ini)
        figures.update({f"{name}: {figure}": value for figure, value in found.items()})
    return figures


def _run(directory: Path, chance: random.Random, size: int, ini: Path | None) -> dict[str, Any]:
    touch = {name: directory / name for name in ("touch-reload", "touch-spoolers-reload")}
    directory.mkdir(parents=True)
    for path in touch.values():
        path.touch()
    arguments = ("--die-on-term", *(f"--{name}={path}" for name, path in touch.items()))
    options = {"MAX_ATTEMPTS": 1}
    deploys: list[Callable[[Server], Any]] = [
        Server.reload,
        _terminate,
        _stop,
        _kill_spoolers,
        _kill_master,
        _reload_spoolers,
        _Touch(touch["touch-reload"]),
        _Touch(touch["touch-spoolers-reload"]),
    ]
    more = chance.choices(deploys, k=max(0, size - len(deploys)))
    with running(directory, spoolers=2, ini=ini, arguments=arguments, options=options) as server:
        waits = []
        for number, deploy in enumerate([*deploys, *more]):
            server.shell(f"stay.enqueue({number})")
            server.eventually(lambda n=number: server.ledger.starts[n], "the task has started")
            began = time.time()
            command = deploy(server)
            server.shell(f"work.enqueue({1000 + number})")
            server.eventually(lambda n=number: server.ledger.ends[n + 1000], "the next has run", 30)
            assert not server.ledger.ends[number]
            _call_off(server, number)
            assert command is None or command.wait(60) == 0
            waits.append(server.ledger.starts[number + 1000][0] - began)
        server.eventually(server.is_drained, "all is settled")
        ledger = server.ledger
        cut = {n: len(times) for n, times in ledger.starts.items() if len(times) > 1}
        assert not cut, f"cut: {cut}"
        assert ledger.overlaps == 0 and not server.failed(), server.failed()
        _pause_covers_a_plain_worker(server)
        _kill_all(server, MAX_CUTS)
    return {
        "deploys while a task ran": len(waits),
        "tasks cut": 0,
        "until the next task ran at most, s": round(max(waits), 1),
        "SIGKILLs of everything, with max_attempts=1": MAX_CUTS,
    }


def _call_off(server: Server, number: int) -> None:
    (server.directory / f"leave-{number}").touch()
    server.eventually(lambda: server.ledger.ends[number], "the task ends", 30)


def _stop(server: Server) -> None:
    """The port is free at once, though the runner is still at work."""
    _end(server, signal.SIGINT)


def _terminate(server: Server) -> None:
    _end(server, signal.SIGTERM)


def _kill_master(server: Server) -> None:
    _end(server, signal.SIGKILL)


def _end(server: Server, signum: int) -> None:
    port = server.port
    os.kill(server.master, signum)
    assert server.process is not None
    server.process.wait(30)
    server.eventually(lambda: not server.spoolers(), "the spoolers have left")
    assert server.runners(), "the runner outlives the server"
    server.eventually(lambda: not server.web_workers(), "the web workers have left")
    server.start(port)


def _kill_spoolers(server: Server) -> None:
    for pid in server.spoolers():
        os.kill(pid, signal.SIGKILL)


def _reload_spoolers(server: Server) -> "subprocess.Popen[bytes]":
    """The command waits for the spooler whose task goes on; the other one is back at once."""
    return _spawn_command(server, "reload", "--timeout", "60")


def _spawn_command(server: Server, *arguments: str) -> "subprocess.Popen[bytes]":
    return server.spawn(sys.executable, "-m", "django", "spooler", *arguments)


class _Touch:
    """Touch the file of a ``touch-`` option, and wait for new spoolers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, server: Server) -> None:
        before = set(server.spoolers())
        touch(self._path)
        server.eventually(
            lambda: len(server.spoolers()) == 2 and not before & set(server.spoolers()),
            f"{self._path.name} brings new spoolers",
        )


def _pause_covers_a_plain_worker(server: Server) -> None:
    """A pause lasts over a restart and holds for ``spooler work``; other queues go on."""
    server.manage("pause", "--queue", "mail", "--wait", "--timeout", "30")
    with _plain_worker(server):
        server.shell("work.using(queue_name='mail').enqueue(2000)")
        server.stop()
        server.start()
        server.shell("work.enqueue(2001)")
        server.eventually(lambda: server.ledger.ends[2001], "the other queue goes on")
        server.manage("pause", "--wait", "--timeout", "30")
        server.shell("work.enqueue(2002)")
        time.sleep(1)
        ledger = server.ledger
        assert not ledger.starts[2000] and not ledger.starts[2002], "ran in spite of the pause"
        server.manage("resume")
        server.eventually(lambda: server.ledger.ends[2000] and server.ledger.ends[2002], "resumed")


@contextlib.contextmanager
def _plain_worker(server: Server):  # type: ignore[no-untyped-def]
    worker = _spawn_command(server, "work")
    server.eventually(lambda: server.runners("work"), "the plain worker is at work")
    yield
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(30) == 0


def _kill_all(server: Server, times: int) -> None:
    """What a container's end may mean; the task runs again, with all its attempts left."""
    server.shell("stay.enqueue(3000)")
    for number in range(1, times + 1):
        server.eventually(
            lambda n=number: len(server.ledger.starts[3000]) == n, "the task has started"
        )
        for pid in server.processes():
            os.kill(pid, signal.SIGKILL)
        server.wait_for_end()
        server.start()
    server.eventually(lambda: len(server.ledger.starts[3000]) == times + 1, "it runs again")
    _call_off(server, 3000)
    assert not server.failed(), server.failed()
