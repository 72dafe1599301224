"""A real uWSGI that serves the torture site, and what is done to it."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.services import free_port, listens

from .site.ledger import Ledger, read_ledger

ROOT = Path(__file__).resolve().parents[2]
SETUPS = {"bare": None, "shipped": ROOT / "uwsgi.ini"}
"""The ways uWSGI is run: by name, the configuration."""

SPAWNED = re.compile(r"spawned the uWSGI spooler on dir \S+ with pid (\d+)")
_WEB_WORKER = re.compile(r"spawned uWSGI worker \d+ \((?:new )?pid: (\d+)", re.IGNORECASE)


class Site:
    """A directory with the site's files, its spool and its log."""

    def __init__(
        self, directory: Path, *, options: Mapping[str, Any] | None = None, **environment: str
    ) -> None:
        self.directory = directory.resolve()
        self.spool = self.directory / "spool"
        self.tree = self.spool / "django"
        self.log = self.directory / "log"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.torture.site.settings",
            "TORTURE_DIR": str(self.directory),
            "TORTURE_OPTIONS": json.dumps(options or {}),
            **environment,
        }

    @property
    def ledger(self) -> Ledger:
        """What the tasks have noted so far."""
        return read_ledger(self.directory)

    def noted(self, event: str) -> int:
        """Count an event in the ledger, at less cost than reading it."""
        with contextlib.suppress(FileNotFoundError):
            return _read(str(self.directory / "ledger")).count(f"{event} ".encode())
        return 0

    def spawn(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a process of the site whose output goes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                arguments,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                **options,
            )

    def manage(self, *arguments: str, timeout: float = 120) -> str:
        """Return what ``manage.py spooler`` prints; its failure is the test's."""
        done = subprocess.run(
            [sys.executable, "-m", "django", "spooler", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"spooler {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return the status of the one spool directory."""
        (status,) = json.loads(self.manage("status", "--json"))["spoolers"]
        return status

    def failed(self) -> list[dict[str, Any]]:
        """Return the entries of ``failed`` as the command line lists them."""
        return json.loads(self.manage("list", "--state", "failed", "--json"))

    def shell(self, code: str, *, check: bool = True, **options: Any) -> str:
        """Run Python in a process of the site, outside uWSGI; return its output."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{_SHELL_IMPORTS}\n{code}"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            **options,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def counts(self) -> dict[str, int]:
        """Count the files of each state, without a process of the site."""
        counts = {}
        for state in ("ready", "scheduled", "running"):
            counts[state] = sum(len(files) for _, _, files in os.walk(self.tree / state))
        return counts

    def is_drained(self) -> bool:
        """Tell whether no task waits or runs."""
        return not any(self.counts().values())

    def has_nothing_ready(self) -> bool:
        """Tell whether no task is ready or runs."""
        counts = self.counts()
        return not counts["ready"] and not counts["running"]

    def holds_nothing_unfinished(self) -> bool:
        """Tell whether nothing is in ``tmp`` but what living runners keep there."""
        return all(path.name.startswith("words-") for path in (self.tree / "tmp").iterdir())

    def empty(self, state: str) -> None:
        """Delete the files of a state."""
        for directory, _, files in os.walk(self.tree / state):
            for name in files:
                os.unlink(os.path.join(directory, name))

    def processes(self) -> list[int]:
        """Return every living process that belongs to this site, the caller's own left out."""
        mark = f"TORTURE_DIR={self.directory}".encode()
        found = []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and mark in _read(f"/proc/{name}/environ").split(b"\0"):
                    if not _read(f"/proc/{name}/stat").rpartition(b")")[2].startswith(b" Z"):
                        found.append(int(name))
        return sorted(found)

    def eventually(self, condition: Callable[[], Any], what: str, timeout: float = 60) -> Any:
        """Return the condition's first true value; past the deadline fail with the log's end."""
        until = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > until:
                raise AssertionError(
                    f"not within {timeout:g} s: {what}\n{self.counts()} {self.processes()}\n"
                    + self.log.read_text(errors="replace")[-6000:]
                )
            time.sleep(0.02)
        return value


def touch(path: Path) -> None:
    """Touch the file of one of uWSGI's ``touch-`` options, of a server that may just have started.

    The time uWSGI finds at its first look, within a second of its start, is the untouched one.
    """
    time.sleep(2)
    os.utime(path)


class Server(Site):
    """The site under uWSGI."""

    def __init__(
        self,
        directory: Path,
        *,
        spoolers: int = 1,
        ini: Path | None = None,
        command: tuple[str, ...] | None = None,
        arguments: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        options: Mapping[str, Any] | None = None,
        **environment: str,
    ) -> None:
        """Without ``ini`` it is the bare set-up: a spooler and the import, nothing else.

        ``command`` are the options instead of these, ``arguments`` those beside them; ``prefix`` is
        a command that starts uWSGI.
        """
        super().__init__(directory, options=options, **environment)
        self.spool.mkdir(exist_ok=True)
        self._spoolers = spoolers
        self._ini = ini
        self._command_options = command or (
            "--master",
            "--spooler",
            str(self.spool),
            "--spooler-processes",
            str(spoolers),
            "--import",
            "django_spooler.worker",
        )
        self._arguments = arguments
        self._prefix = prefix
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def master(self) -> int:
        """The pid of uWSGI's master."""
        assert self.process is not None
        return self.process.pid

    def start(self, port: int = 0) -> "Server":
        """Start uWSGI, on a given port or a free one, and wait until each spooler has a runner."""
        self.port = port or free_port()
        offset = self.log.stat().st_size
        self.process = self.spawn(*self._command(), start_new_session=True)
        self.eventually(
            lambda: (
                len(SPAWNED.findall(self.log.read_text(errors="replace")[offset:]))
                >= self._spoolers
            ),
            "the spoolers are spawned",
        )
        self.eventually(lambda: len(self.runners()) >= self._spoolers, "the runners are at work")
        self.eventually(lambda: listens(self.port), "the port is open")
        return self

    def _command(self) -> list[str]:
        uwsgi = Path(sys.executable).with_name("uwsgi")
        program = str(uwsgi) if uwsgi.exists() else shutil.which("uwsgi") or "uwsgi"
        command = [*self._prefix, program]
        if self._ini is not None:
            command += ["--ini", str(self._site_ini())]
        else:
            command += [
                *self._command_options,
                "--module",
                "tests.torture.site.wsgi",
                "--no-orphans",
                "--http-socket",
                f"127.0.0.1:{self.port}",
            ]
        return [*command, *self._arguments]

    def _site_ini(self) -> Path:
        """Write the shipped configuration with this site's module, spool and port for the demo's."""
        assert self._ini is not None
        lines = self._ini.read_text()
        for pattern, value in (
            (r"^chdir *=.*$", f"chdir = {ROOT}"),
            (r"^module *=.*$", "module = tests.torture.site.wsgi"),
            (r"^spooler *=.*$", f"spooler = {self.spool}"),
            (r"^spooler-processes *=.*$", f"spooler-processes = {self._spoolers}"),
            (r"^set-placeholder *= *port.*$", f"set-placeholder = port={self.port}"),
            (r"^http *=.*$", f"http-socket = 127.0.0.1:{self.port}"),
            (r"^static-map.*$|^mime-file.*$", ""),
        ):
            lines, _ = re.subn(pattern, lambda _, value=value: value, lines, flags=re.MULTILINE)
        path = self.directory / "uwsgi.ini"
        path.write_text(lines)
        return path

    def spoolers(self) -> list[int]:
        """Return the living spooler processes, as the log names them."""
        alive = set(self.processes())
        return [
            pid
            for pid in map(int, SPAWNED.findall(self.log.read_text(errors="replace")))
            if pid in alive
        ]

    def web_workers(self) -> list[int]:
        """Return the living processes that answer requests, as the log names them."""
        alive = set(self.processes())
        return [
            pid
            for pid in map(int, _WEB_WORKER.findall(self.log.read_text(errors="replace")))
            if pid in alive
        ]

    def children(self, pid: int) -> list[int]:
        """Return the children of a process, from proc(5)."""
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [int(child) for child in text.split()]

    def cards(self) -> dict[int, dict[str, Any]]:
        """Return the cards of the processes that serve the directory, dead ones too, by pid."""
        found = {}
        for path in filter(Path.is_file, (self.tree / "processes").glob("*")):
            with contextlib.suppress(OSError, ValueError):
                card = json.loads(path.read_text())
                found[card["pid"]] = card
        return found

    def runners(self, kind: str = "uwsgi") -> list[int]:
        """Return the living runners, as their cards say it."""
        alive = set(self.processes())
        return [
            pid
            for pid, card in self.cards().items()
            if card["role"] == "runner" and card["kind"] == kind and pid in alive
        ]

    def reload(self) -> None:
        """SIGHUP the master, and wait for new spoolers."""
        before = set(self.spoolers())
        os.kill(self.master, signal.SIGHUP)
        self.eventually(
            lambda: (
                len(set(self.spoolers()) - before) >= self._spoolers
                and not before & set(self.spoolers())
            ),
            "new spoolers after the reload",
        )

    def stop(self, signum: int = signal.SIGINT) -> None:
        """Stop the server and wait until nothing of it is left."""
        if self.process is None:
            return
        os.kill(self.master, signum)
        self.wait_for_end()

    def stop_alone(self) -> None:
        """Stop a server that shares the site with another."""
        assert self.process is not None
        os.kill(self.master, signal.SIGINT)
        self.process.wait(30)
        self.process = None

    def kill_master(self) -> None:
        """SIGKILL the master, and wait until its processes have left."""
        os.kill(self.master, signal.SIGKILL)
        self.wait_for_end()

    def wait_for_end(self, timeout: float = 90) -> None:
        """Wait for the master, and for the processes that outlive it for their task."""
        assert self.process is not None
        self.process.wait(timeout)
        self.eventually(
            lambda: not self.spoolers() and not self.runners(), "spoolers and runners left", timeout
        )
        self.process = None

    def get(self, path: str, timeout: float = 60) -> str:
        """Return the answer of the web worker."""
        import urllib.request

        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}{path}", timeout=timeout
        ) as answer:
            return str(answer.read().decode())


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[Server]:
    """Serve the site; afterwards nothing of it may be left."""
    server = Server(directory, **options)
    try:
        yield server.start()
        server.stop()
        server.eventually(lambda: not server.processes(), "no process is left", 30)
    finally:
        for pid in server.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if server.process is not None:
            server.process.wait(30)


_SHELL_IMPORTS = """\
import json, os, random, sys, time
from datetime import datetime, timedelta, timezone as _timezone
from django.utils import timezone
UTC = _timezone.utc
from tests.torture.site.ledger import note
from tests.torture.site.tasks import *
"""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
