"""A real uWSGI with a real site: its address, its log, its processes, and what is done to it."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEADLINE = 45.0
"""Seconds; long, since only a failure ever waits for all of them."""

LAST_DEADLINE = 20.0
"""Seconds that everything has to end when the test is over."""

_PAUSE = 0.01
_SPOOLER = re.compile(r"^spawned the uWSGI spooler on dir .* with pid (\d+)", re.MULTILINE)
_WEB_WORKER = re.compile(
    r"^(?:spawned uWSGI worker \d+ .*\(pid: (\d+)|Respawned uWSGI worker \d+ \(new pid: (\d+)\))",
    re.MULTILINE,
)
_ROUTER = re.compile(r"spawned uWSGI http \d+ \(pid: (\d+)\)")
_PORT_TAKEN = "Address already in use"


class DeadlineError(AssertionError):
    """What was awaited did not happen in time."""


class LeakedProcessError(AssertionError):
    """A process of a server that was told to end is still there."""


class CallError(Exception):
    """A function of the site raised; ``kinds`` names the exception's class and its bases."""

    def __init__(self, kinds: list[str], message: str) -> None:
        super().__init__(f"{kinds[0]}: {message}")
        self.kinds = kinds
        self.message = message


def wait_until(condition: Callable[[], T], what: str, seconds: float = DEADLINE) -> T:
    """Return the condition's first true value. Raise DeadlineError after ``seconds``."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise DeadlineError(f"Not within {seconds:g} s: {what}")
        time.sleep(_PAUSE)
    return value


class Site:
    """The files of one site, and what its code recorded."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        """Lay out the site below ``directory``; ``settings`` stand in for those it comes with."""
        self.directory = directory.resolve()
        shutil.copytree(
            HERE / "site",
            self.directory,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        self.gates = self.directory / "gates"
        self.gates.mkdir()
        self.spool = self.directory / "spool"
        self.write_settings(settings)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self._open_gates: list[int] = []

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Set what the site's settings have instead of their own values."""
        (self.directory / "settings.json").write_text(json.dumps(settings))

    def manage(self, *arguments: str) -> str:
        """Return what ``manage.py`` prints, on either stream; its failure is the test's."""
        with self.managing(*arguments) as command:
            said, _ = command.communicate(timeout=DEADLINE)
        assert command.returncode == 0, f"manage.py {' '.join(arguments)}:\n{said}"
        return said

    @contextlib.contextmanager
    def managing(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run ``manage.py`` beside the block; what it prints, on either stream, is its stdout."""
        with subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as command:
            try:
                yield command
            finally:
                command.kill()

    # What happened

    def events(self, event: str | None = None, **facts: Any) -> list[dict[str, Any]]:
        """Return what was recorded under this name and with these facts, oldest first."""
        try:
            text = (self.directory / "events").read_text()
        except FileNotFoundError:
            return []
        return [
            line
            for line in map(json.loads, text[: text.rfind("\n") + 1].splitlines())
            if (event is None or line["event"] == event)
            and all(line.get(name) == value for name, value in facts.items())
        ]

    def wait_for(
        self, event: str, count: int = 1, *, within: float = DEADLINE, **facts: Any
    ) -> list[dict[str, Any]]:
        """Return such events once there are ``count``. Raise DeadlineError."""
        return wait_until(
            lambda: found if len(found := self.events(event, **facts)) >= count else [],
            f"{count} times {event} with {facts}; recorded: {self.events()[-20:]}",
            within,
        )

    # Gates: what a task waits at until the test lets it go on

    def close_gate(self, gate: str) -> str:
        """Make a gate and return its name."""
        os.mkfifo(self.gates / gate)
        return gate

    def open_gate(self, gate: str) -> None:
        """Let every task through that waits at the gate, or comes to it later."""
        self._open_gates.append(os.open(self.gates / gate, os.O_RDWR))

    @contextlib.contextmanager
    def all_gates_open(self) -> Iterator[None]:
        """Let every task through for as long as the block takes."""
        for gate in self.gates.iterdir():
            self.open_gate(gate.name)
        yield
        while self._open_gates:
            os.close(self._open_gates.pop())


@dataclass(frozen=True)
class Setup:
    """One way to run uWSGI: its arguments, and what the site's settings have to be for it."""

    name: str
    arguments: tuple[str, ...]
    """May hold ``{address}`` (HTTP), ``{socket}`` (the uwsgi protocol), ``{site}`` and ``{spool}``."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    spoolers: int = 1
    """How many spooler processes it makes."""

    ini: Path | None = None
    """A configuration of the demo, to be used with this site's names."""


class Server:
    """One uWSGI that serves a site."""

    def __init__(self, site: Site, setup: Setup) -> None:
        self.site = site
        self.setup = setup
        self.log_path = site.directory / "uwsgi.log"
        self.log_path.touch()
        self.port = self.socket_port = 0
        self._sessions: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers HTTP."""
        return f"127.0.0.1:{self.port}"

    @property
    def socket_address(self) -> str:
        """Where it speaks the uwsgi protocol."""
        return f"127.0.0.1:{self.socket_port}"

    @property
    def spool(self) -> Path:
        """Its spool directory."""
        return self.site.spool

    @property
    def log(self) -> str:
        """Everything uWSGI and the site have said."""
        return self.log_path.read_text(errors="replace")

    # Start and end

    def start(self) -> "Server":
        """Start uWSGI and wait until it answers and all its spoolers are there."""
        for _ in range(3):
            self.port, self.socket_port = free_ports(2)
            start = self.log_path.stat().st_size
            self._spawn()
            self._wait_until_up(start)
            if not self.has_ended:
                return self
            if _PORT_TAKEN not in self.log[start:]:
                break
        raise AssertionError("uWSGI ended as it started")

    def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.site.directory,
                env=self.site.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.append(self._process.pid)

    def command(self) -> list[str]:
        """Return uWSGI's command line, from the environment of the running interpreter."""
        uwsgi = str(Path(sys.executable).with_name("uwsgi"))
        if self.setup.ini is not None:
            return [uwsgi, "--ini", str(self._ini())]
        names = {
            "address": self.address,
            "socket": self.socket_address,
            "site": self.site.directory,
            "spool": self.site.spool,
        }
        return [uwsgi, *(argument.format(**names) for argument in self.setup.arguments)]

    def _ini(self) -> Path:
        """Write the demo's configuration with this site's names."""
        assert self.setup.ini is not None
        text = self.setup.ini.read_text().replace("demo_project", "mysite")
        text, found = re.subn(r"port=\d+", f"port={self.port}", text)
        assert found == 1, "the configuration has no single port to replace"
        path = self.site.directory / self.setup.ini.name
        path.write_text(text)
        return path

    def _wait_until_up(self, start: int) -> None:
        """Wait until all are there that the log names from ``start`` on, or until it ended."""
        wait_until(lambda: self.has_ended or self._is_up(start), "uWSGI is up")

    def _is_up(self, start: int) -> bool:
        if len(_SPOOLER.findall(self.log[start:])) < self.setup.spoolers:
            return False
        try:
            return self.request("GET", "/").status == 200
        except OSError:
            return False

    @property
    def has_ended(self) -> bool:
        """Whether the process that was started has ended."""
        assert self._process is not None
        return self._process.poll() is not None

    def stop(self) -> None:
        """End uWSGI as Ctrl-C does, and wait until it has; a runner may be busy for longer."""
        self.signal(self.master, signal.SIGINT)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until uWSGI itself has ended. Raise DeadlineError."""
        wait_until(lambda: self.has_ended, "uWSGI has ended")
        wait_until(lambda: not self.spoolers and not self.web_workers, "its children have ended")

    def end(self) -> None:
        """End everything that was started. Raise LeakedProcessError where something stays."""
        with self.site.all_gates_open():
            if self._process is not None and not self.has_ended:
                self.signal(self.master, signal.SIGINT)
            leaked = self._left_behind()
        self.kill_all()
        if leaked:
            raise LeakedProcessError("\n".join(["left behind:", *leaked]))

    def _left_behind(self) -> list[str]:
        try:
            wait_until(lambda: not self.processes, "every process has ended", LAST_DEADLINE)
        except DeadlineError:
            return [f"{pid} {self._role(pid)}: {_command_line(pid)}" for pid in self.processes]
        return []

    def kill_all(self) -> None:
        """End every process with SIGKILL, as a power cut would."""
        while pids := self.processes:
            for pid in pids:
                self.signal(pid, signal.SIGKILL)
            wait_until(lambda: not set(pids) & set(self.processes), "the killed are gone")
        if self._process is not None:
            self._process.wait()  # else it would stay a zombie

    # Signals

    def signal(self, pid: int, signum: signal.Signals) -> None:
        """Send a signal to one of its processes; one that is gone needs none."""
        assert pid in self.processes or not _is_alive(pid), f"{pid} is none of this server's"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)

    def kill(self, pid: int) -> None:
        """End a process with SIGKILL and wait until it is gone."""
        self.signal(pid, signal.SIGKILL)
        wait_until(lambda: pid not in self.processes, f"{pid} is gone")

    def reload(self) -> None:
        """Reload with SIGHUP to the master; return once new processes serve."""
        with self.reloading():
            self.signal(self.master, signal.SIGHUP)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Wait, behind the block that asks for a reload, until new processes serve."""
        start, old = self.log_path.stat().st_size, set(self.spoolers + self.web_workers)
        yield
        wait_until(lambda: not old & set(self.processes), "the old processes are gone")
        self._wait_until_up(start)

    # Processes

    @property
    def processes(self) -> list[int]:
        """Every living process of this server, orphans too: all of the sessions it was made in."""
        return sorted(pid for pid, session in living_sessions() if session in self._sessions)

    @property
    def master(self) -> int:
        """The process that was started: the master, or without one the only web worker."""
        assert self._process is not None
        return self._process.pid

    @property
    def spoolers(self) -> list[int]:
        """The living spooler processes."""
        return [pid for pid in self.processes if self._role(pid) == "spooler"]

    @property
    def web_workers(self) -> list[int]:
        """The living processes that answer requests."""
        return [pid for pid in self.processes if self._role(pid) == "web worker"]

    @property
    def runners(self) -> list[int]:
        """The living processes that run tasks."""
        return [pid for pid in self.processes if self._role(pid) == "runner"]

    def _role(self, pid: int) -> str:
        log = self.log
        if str(pid) in _SPOOLER.findall(log):
            return "spooler"
        if any(str(pid) in found for found in _WEB_WORKER.findall(log)):
            return "web worker"
        if str(pid) in _ROUTER.findall(log):
            return "router"
        return "master" if pid in self._sessions else "runner"

    # Talking to the site

    def request(self, method: str, path: str, body: bytes | str | None = None) -> "Response":
        """Ask the site over HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Response(response.status, response.read())
        finally:
            connection.close()

    def post(self, path: str, **fields: str) -> "Response":
        """Send a form."""
        return self.request("POST", path, urlencode(fields))

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the site in a web worker. Raise CallError for what it raises."""
        response = self.request("POST", "/call", _as_request(function, args, kwargs))
        assert response.status == 200, response.body.decode(errors="replace")
        return _value(response.json())


@dataclass(frozen=True)
class Response:
    """What the site answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)


class Producer:
    """A process of the site that is not uWSGI: a shell, a cron job, another server."""

    def __init__(self, site: Site) -> None:
        self._log = (site.directory / "producer.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "produce.py"],
            cwd=site.directory,
            env=site.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the site there. Raise CallError for what it raises."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(_as_request(function, args, kwargs) + "\n")
        self._process.stdin.flush()
        return _value(json.loads(self._process.stdout.readline()))

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def end(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(DEADLINE)
        self._process.stdout.close()
        self._log.close()


def _as_request(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return json.dumps({"function": function, "args": args, "kwargs": kwargs})


def _value(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise CallError(answer["error"], answer["message"])
    return answer["value"]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def living_sessions() -> Iterator[tuple[int, int]]:
    """Yield the pid of each living process and its session, from proc(5)."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))) and fields[0] not in "ZX":
            yield int(name), int(fields[3])


def _is_alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """Return what ``/proc/<pid>/stat`` has behind the command: state, ppid, pgrp, session, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return "ended meanwhile"
