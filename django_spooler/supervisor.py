"""The parent of the runners: starts them, sees how they die, and looks after what they leave.

It runs no task itself. Under uWSGI the spooler process is the supervisor of one runner; the plain
worker is one of several.
"""

import contextlib
import logging
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass

from . import database
from .conf import Options
from .housekeeping import tidy
from .recovery import Recovery
from .runner import Runner
from .spool.directory import Spool
from .spool.process import RUNNER, SUPERVISOR, HeldCard, new_card, new_card_name

logger = logging.getLogger("django_spooler")

_RESPAWN_PAUSE = 1.0
"""Seconds between two starts of a runner that dies at once."""

_SWEEP_PAUSE = 1.0
"""Seconds between two looks at what other processes left behind."""

_TIDY_PAUSE = 60.0
"""Seconds between two rounds of housekeeping."""


@dataclass(slots=True)
class _Child:
    pid: int
    name: str
    trace_path: str
    descriptor: int | None
    """Readable once the process has ended, where the system has such descriptors."""
    told_to_leave: bool = False


class Supervisor:
    """Keeps a number of runners at work on one spool."""

    def __init__(
        self,
        spool: Spool,
        kind: str,
        generation: str,
        *,
        runners: int,
        options: Options,
        queues: list[str] | None = None,
        until_empty: bool = False,
    ) -> None:
        """``queues`` are those to serve, None for all."""
        spool.prepare()
        self._spool = spool
        self._kind = kind
        self._generation = generation
        self._runners = runners
        self._options = options
        self._queues = queues
        self._until_empty = until_empty
        self._card = HeldCard(spool, new_card(SUPERVISOR, kind, generation))
        self._recovery = Recovery(spool)
        self._children: list[_Child] = []
        self._next_start = 0.0
        self._next_sweep = 0.0
        self._next_tidying = 0.0
        self._leaving = False

    @property
    def descriptors(self) -> list[int]:
        """What becomes readable when a runner ends."""
        return [child.descriptor for child in self._children if child.descriptor is not None]

    @property
    def finished(self) -> bool:
        """True once it was told to leave, or to serve until empty, and no runner is left."""
        return self._leaving and not self._children

    def tick(self) -> None:
        """Bury dead runners, put back what they left, and start new ones."""
        for child in list(self._children):
            self._reap(child)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_PAUSE
            self._recovery.sweep()
        if time.monotonic() >= self._next_tidying:
            self._next_tidying = time.monotonic() + _TIDY_PAUSE
            tidy(
                self._spool,
                max_age=self._options.FAILED_MAX_AGE,
                max_count=self._options.FAILED_MAX_COUNT,
            )
        if not self._leaving and time.monotonic() >= self._next_start:
            while len(self._children) < self._runners:
                self._start()
            self._next_start = time.monotonic() + _RESPAWN_PAUSE
            self._leaving = self._until_empty

    def leave(self, signum: int = signal.SIGTERM) -> None:
        """Tell the runners to end after their task, or with SIGINT at once."""
        self._leaving = True
        for child in self._children:
            child.told_to_leave = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signum)

    def close(self) -> None:
        """Give the card back; all runners have ended."""
        self._card.leave()

    def _start(self) -> None:
        name = new_card_name()
        trace_path = self._spool.path("tmp", f"trace-{name}")
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._run_child(name, trace_path)
        self._children.append(_Child(pid, name, trace_path, _descriptor_of(pid)))

    def _run_child(self, name: str, trace_path: str) -> None:
        """Be the runner; never returns."""
        status = 1
        try:
            _close_listening_sockets()
            database.drop_inherited()
            random.seed()
            card = new_card(
                RUNNER, self._kind, self._generation, name=name, supervisor=self._card.card.name
            )
            runner = Runner(
                self._spool,
                card,
                stop_grace=self._options.STOP_GRACE,
                queues=self._queues,
                trace_path=trace_path,
                parent=self._card.card.pid,
            )
            runner.run_until_empty() if self._until_empty else runner.run()
            status = 0
        except BaseException:
            logger.exception("A runner of %s ends on an error of its own", self._spool.directory)
        finally:
            with contextlib.suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self, child: _Child) -> None:
        try:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = child.pid, None
        if not pid:
            return
        self._children.remove(child)
        if child.descriptor is not None:
            os.close(child.descriptor)
        death = None if child.told_to_leave else _death(status, child.trace_path)
        if death is not None:
            logger.error("Runner %d of %s died: %s", child.pid, self._spool.directory, death)
        if self._recovery.recover(child.name, death):
            self._next_start = 0.0  # a task killed it, so a new one has a chance
        with contextlib.suppress(FileNotFoundError):
            os.unlink(child.trace_path)


def _death(status: int | None, trace_path: str) -> str | None:
    """Return how a runner ended, None if in good order."""
    if status == 0:
        return None
    with contextlib.suppress(OSError):
        if os.path.getsize(trace_path):
            return "timeout"
    if status is None:
        return "unknown signal"
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _descriptor_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _close_listening_sockets() -> None:
    """Close what the server listens on: a runner may outlive it, and must not keep its port."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            connection = socket.socket(fileno=int(name))
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                connection.close()
            else:
                connection.detach()
