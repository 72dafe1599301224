"""A peer at work: its worker, its producer and its servers, from the first start to the last kill."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import processes
from .board import Board
from .field import Peer
from .processes import family, kill, marked
from .services import STARTERS, Missing, free_port, listens

ROOT = Path(__file__).resolve().parents[1]

MEMORY = Path("/dev/shm")
"""Where directories are in memory: a disk's state would decide, not what is measured."""

_PATIENCE = 60.0
"""Seconds for a start, or for one call."""


class Failure(Exception):
    """A peer that does not do what it is asked; the text ends with its log."""


class Instance:
    """One peer, started afresh in a directory of its own."""

    def __init__(
        self,
        peer: Peer,
        directory: Path,
        *,
        ini: dict[str, str | None] | None = None,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        """``ini`` are options of uWSGI instead of the shipped ones (None: without), ``options`` ours.

        ``environment`` comes on top of this process's.
        """
        self.peer = peer
        self.directory = directory
        self._ini = ini or {}
        self._started: list[subprocess.Popen[Any]] = []
        self._stack = contextlib.ExitStack()
        self._log = directory / "log"
        boards = MEMORY if MEMORY.is_dir() else directory
        self._boards = Path(tempfile.mkdtemp(prefix="bench-board-", dir=boards))
        self._mark = f"BENCH_DIRECTORY={directory}"
        self._environment = processes.environment(
            **(environment or {}),
            PYTHONPATH=str(ROOT),
            BENCH_DIRECTORY=str(directory),
            BENCH_BOARD=str(self._boards),
            BENCH_MODULE=f"benchmarks.peers.{peer.module}",
            BENCH_OPTIONS=json.dumps({**dict(peer.options), **options}),
        )
        if peer.settings:
            settings = f"benchmarks.settings.{peer.settings}"
            self._environment["DJANGO_SETTINGS_MODULE"] = settings
        self.board = Board(self._boards)

    def __enter__(self) -> "Instance":
        self._stack.callback(shutil.rmtree, self._boards)
        with contextlib.ExitStack() as failed:
            failed.callback(self._stack.close)
            self._start()
            failed.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        for service in self.peer.services:
            place = self._stack.enter_context(STARTERS[service](self.directory))
            self._environment.update(place)
        self._stack.callback(self._end)
        if self.peer.prepare:
            self._run_to_its_end(self.peer.prepare)
        if self.peer.worker is None:
            self._serve()
        else:
            self._producer = self._spawn(
                [sys.executable, "-m", "benchmarks.producer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._worker = self._spawn([sys.executable, *self.peer.worker])
        self.call("prepared")
        self._see_one_run()

    def _run_to_its_end(self, arguments: tuple[str, ...]) -> None:
        if self._spawn([sys.executable, *arguments]).wait(_PATIENCE):
            raise self._failure(f"{' '.join(arguments)} failed")

    def _spawn(self, command: list[str], **options: Any) -> "subprocess.Popen[Any]":
        with self._log.open("ab") as log:
            defaults = {"stdin": subprocess.DEVNULL, "stdout": log}
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stderr=log,
                start_new_session=True,
                **{**defaults, **options},
            )
        self._started.append(process)
        return process

    def _see_one_run(self) -> None:
        """Wait until the worker is up: it runs a task that is put before it listens, too."""
        self.call("enqueue", 1)
        if not self.board.wait(1, _PATIENCE, 0.01):
            raise self._failure("it runs no task")

    def _end(self) -> None:
        """Everything is scratch, so nothing is asked to leave: what a run started is killed."""
        while pids := [pid for pid in marked(self._mark) if pid != os.getpid()]:
            kill(pids, signal.SIGKILL)
            time.sleep(0.02)
        for process in self._started:
            with process:  # waits, and closes its pipes
                pass

    def _failure(self, finding: str) -> Failure:
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        return Failure(f"{self.peer.title}: {finding}\n{log[-3000:]}")

    # uWSGI

    def _serve(self) -> None:
        program = uwsgi_program()
        self._port = free_port()
        ini = self.directory / "uwsgi.ini"
        ini.write_text(shipped_ini(self._changes()))
        self._uwsgi = self._spawn([program, "--ini", str(ini)])
        until = time.monotonic() + _PATIENCE
        while not listens(self._port):
            if time.monotonic() > until:
                raise self._failure("uWSGI does not come up")
            time.sleep(0.02)

    def _changes(self) -> dict[str, str | None]:
        """Return what is other than in the shipped configuration, None for what is left out."""
        assert self.peer.uwsgi_import
        return {
            "chdir": str(ROOT),
            "module": "benchmarks.wsgi",
            "import": self.peer.uwsgi_import,
            "spooler-import": self.peer.uwsgi_import,
            "spooler": str(self.directory / "spool"),
            "spooler-processes": "1",
            "processes": "1",
            "set-placeholder": f"port={self._port}",
            "harakiri": None,
            "touch-reload": None,
            "static-map": None,
            "mime-file": None,
            **self._ini,
        }

    # Talking to it

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Have the producer do what ``calls`` has. Raise Failure where it does not answer."""
        request = json.dumps({"function": function, "args": args, "kwargs": kwargs})
        try:
            return json.loads(self._ask(request))
        except (OSError, ValueError) as error:
            raise self._failure(f"{function} failed: {error}") from error

    def _ask(self, request: str) -> str:
        if self.peer.worker is None:
            url = f"http://127.0.0.1:{self._port}/"
            with urllib.request.urlopen(url, request.encode(), timeout=3600) as response:
                return str(response.read().decode())
        assert self._producer.stdin and self._producer.stdout
        self._producer.stdin.write(request + "\n")
        self._producer.stdin.flush()
        return str(self._producer.stdout.readline())

    @property
    def master(self) -> int:
        """The process of uWSGI that was started."""
        return self._uwsgi.pid

    @property
    def workers(self) -> list[int]:
        """The processes that run tasks."""
        if self.peer.worker is None:
            return family(self.call("spooler_pids"))
        return family([self._worker.pid])


def uwsgi_program() -> str:
    """Return the uwsgi of this Python, or else the system's. Raise Missing."""
    beside = Path(sys.executable).with_name("uwsgi")
    program = str(beside) if beside.exists() else shutil.which("uwsgi")
    if program is None:
        raise Missing(f"uwsgi is not beside {sys.executable}. Try: pip install uWSGI")
    return program


def shipped_ini(changes: dict[str, str | None]) -> str:
    """Return uwsgi.ini with other values for some options, or without those that are None."""

    def changed(match: re.Match[str]) -> str:
        value = changes.get(match[1], match[2])
        return "" if value is None else f"{match[1]} = {value}"

    text = (ROOT / "uwsgi.ini").read_text()
    return re.sub(r"^([\w-]+) *= *(.*)$", changed, text, flags=re.MULTILINE)


@contextlib.contextmanager
def running(peer: Peer, parent: Path, **options: Any) -> Iterator[Instance]:
    """Run a peer in a new directory below ``parent``, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer.name}-", dir=parent) as name:
        with Instance(peer, Path(name), **options) as instance:
            yield instance
