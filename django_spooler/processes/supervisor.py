"""The parent of the runners: starts them, sees how they die, and looks after what they leave.

It runs no task itself. Under uWSGI the spooler process is the supervisor of one runner; the plain
worker is one of several.
"""

import contextlib
import enum
import logging
import math
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass

from .. import database, results
from ..children import LOOK, fork
from ..conf import Options
from ..exceptions import SpoolerError
from ..housekeeping import tidy
from ..own import CRON_QUEUE
from ..spool.directory import Spool
from ..spool.files import names_in
from ..spool.process import RUNNER, SUPERVISOR, HeldCard, cards, new_card, new_card_name
from ..spool.words import UNSEEN, LastWords, last_words
from .duty import Duty, duty_of
from .recovery import Recovery
from .runner import Runner

logger = logging.getLogger("django_spooler")

_RESPAWN_PAUSE = 1.0
"""Seconds between two starts of a runner that dies at once."""

_SWEEP_PAUSE = 1.0
"""Seconds between two looks at what other processes left behind."""

_TIDY_PAUSE = 60.0
"""Seconds between two rounds of housekeeping."""

_MERCY = 2.0
"""Seconds past its grace after which a runner that does not hear is killed."""


class _Role(enum.Enum):
    """What a child is for."""

    RUNNER = "runner"
    CRON_RUNNER = "runner of periodic jobs"
    TICKER = "ticker"


@dataclass(slots=True)
class _Child:
    pid: int
    name: str
    role: _Role
    descriptor: int | None
    """Readable once the process has ended, where the system has such descriptors."""
    was_told: bool = False
    """To leave."""
    kill_at: float = math.inf
    """Seconds of ``time.monotonic``."""

    @property
    def has_grace(self) -> bool:
        """Whether a stop waits for it no longer than its grace."""
        return self.kill_at < math.inf


@dataclass(frozen=True, slots=True)
class Service:
    """What is served of a spool, and by how many."""

    runners: int
    queues: list[str] | None = None
    """Those to serve, None for all."""
    until_empty: bool = False
    """Whether it ends once nothing is ready."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the spool needs, for good: periodic jobs too."""
        return self.queues is None and not self.until_empty


class Supervisor:
    """Keeps a number of runners at work on one spool."""

    def __init__(
        self,
        spool: Spool,
        kind: str,
        generation: str,
        *,
        service: Service,
        options: Options,
        home: str | None = None,
    ) -> None:
        """``home`` is the directory tasks run in, by default the current one."""
        spool.prepare()
        self._spool = spool
        self._kind = kind
        self._generation = generation
        self._service = service
        self._options = options
        self._home = home or os.getcwd()
        self._card = HeldCard(spool, new_card(SUPERVISOR, kind, generation))
        self._recovery = Recovery(spool, self._card.card.name)
        self._duty = duty_of(spool, options) if service.is_whole else None
        self._children: list[_Child] = []
        self._dead: dict[str, str | None] = {}
        """How each runner died, None if in good order, until what it left is put back."""
        self._next_start = 0.0
        self._next_ticker = 0.0
        self._next_sweep = 0.0
        self._next_tidying = 0.0
        self._finishing = False
        """Whether runners that had a task when they were told to leave may still be at it."""
        self._leaving = False

    @property
    def descriptors(self) -> list[int]:
        """What becomes readable when a runner ends, or a periodic job was handed over."""
        ends = [child.descriptor for child in self._children if child.descriptor is not None]
        if self._duty is None or self._leaving:  # then nobody reads them any more
            return ends
        return [*ends, self._duty.announcements]

    @property
    def finished(self) -> bool:
        """True once it was told to leave, or to serve until empty, and no runner is left."""
        return self._leaving and not self._children

    def tick(self) -> None:
        """Bury dead runners, put back what they left, and start new ones."""
        for child in list(self._children):
            if time.monotonic() > child.kill_at:
                _send(child.pid, signal.SIGKILL)
            self._reap(child)
        try:
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + _SWEEP_PAUSE
                self._sweep()
            is_staying = not (self._leaving or self._finishing)
            if is_staying and time.monotonic() >= self._next_start:
                self._next_start = time.monotonic() + _RESPAWN_PAUSE
                while self._count(_Role.RUNNER) < self._service.runners:
                    self._start(_Role.RUNNER)
                self._leaving = self._service.until_empty
            if not self._leaving and self._duty is not None:
                self._see_to(self._duty)
        except (OSError, SpoolerError):
            logger.exception("Spool directory %s makes trouble", self._spool.directory)

    def finish(self) -> None:
        """Tell the runners to end after their task, however long it takes.

        Periodic jobs go on meanwhile; what they have started by then is waited for last.
        """
        if not self._finishing:
            self._finishing = True
            for child in self._children:
                child.was_told = child.role is not _Role.TICKER
        told = [child for child in self._children if child.was_told]
        for child in told:
            _send(child.pid, signal.SIGHUP)
        if not told:
            self._tell_to_leave(signal.SIGHUP)

    def leave(self) -> None:
        """Tell the runners to end after their task; what outlasts the grace is killed."""
        self._tell_to_leave(signal.SIGTERM)
        for child in self._children:
            child.kill_at = time.monotonic() + self._options.STOP_GRACE + _MERCY

    def leave_at_once(self) -> None:
        """Kill the runners; their tasks run again, with no attempt used up."""
        self.leave()
        for child in self._children:
            child.kill_at = 0.0

    def close(self) -> None:
        """Give the card back; all runners have ended."""
        self._card.leave()

    def _tell_to_leave(self, signum: int) -> None:
        self._leaving = True
        for child in self._children:
            self._tell(child, signum)

    def _tell(self, child: _Child, signum: int) -> None:
        if child.role is _Role.TICKER and not child.was_told:
            child.kill_at = time.monotonic() + _MERCY  # it may wait for a database that is away
        child.was_told = True
        _send(child.pid, signum)

    def _sweep(self) -> None:
        self._card.keep()
        database.refresh()  # a connection that was cut would fail for ever
        results.send_again()
        for name, death in list(self._dead.items()):
            if self._recovery.recover(name, death):
                self._next_start = 0.0  # a task killed it, so a new one has a chance
            del self._dead[name]
        self._recovery.sweep()
        if time.monotonic() >= self._next_tidying:
            self._next_tidying = time.monotonic() + _TIDY_PAUSE
            tidy(
                self._spool,
                max_age=self._options.FAILED_MAX_AGE,
                max_count=self._options.FAILED_MAX_COUNT,
            )

    def _see_to(self, duty: Duty) -> None:
        """Do the duty if it is ours; one that is leaving gives it to a process with the new code."""
        if self._finishing and self._has_successor():
            duty.give_up()
            for child in self._children:
                if child.role is _Role.TICKER:
                    self._tell(child, signal.SIGHUP)
        elif duty.is_ours():
            self._do_duty(duty)

    def _has_successor(self) -> bool:
        """Tell whether a younger process of this server is there."""
        ours = self._card.card
        return any(
            alive
            and (card.role, card.kind, card.generation) == (ours.role, ours.kind, ours.generation)
            and card.since > ours.since
            for card, alive in cards(self._spool)
        )

    def _do_duty(self, duty: Duty) -> None:
        """Keep the ticker, and start runners for what it handed over."""
        if not self._count(_Role.TICKER) and time.monotonic() >= self._next_ticker:
            self._next_ticker = time.monotonic() + _RESPAWN_PAUSE
            self._start(_Role.TICKER)
        for _ in range(min(duty.waiting(), duty.most - self._count(_Role.CRON_RUNNER))):
            self._start(_Role.CRON_RUNNER)

    def _count(self, role: _Role) -> int:
        return sum(child.role is role for child in self._children)

    def _start(self, role: _Role) -> None:
        name = new_card_name()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = fork()
        if pid == 0:
            self._be(role, name)
        self._children.append(_Child(pid, name, role, _descriptor_of(pid)))

    def _be(self, role: _Role, name: str) -> None:
        """Be the child; never returns."""
        status = 1
        try:
            _close_listening_sockets()
            database.drop_inherited()
            random.seed()
            if role is _Role.TICKER:
                assert self._duty is not None
                os.chdir(self._home)
                self._duty.tick(self._card.card.pid)
            else:
                self._run_tasks(role, name)
            status = 0
        except BaseException:
            logger.exception(
                "A %s of %s ends on an error of its own", role.value, self._spool.directory
            )
        finally:
            with contextlib.suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _run_tasks(self, role: _Role, name: str) -> None:
        card = new_card(
            RUNNER, self._kind, self._generation, name=name, supervisor=self._card.card.name
        )
        for_cron = role is _Role.CRON_RUNNER
        runner = Runner(
            self._spool,
            card,
            stop_grace=self._options.STOP_GRACE,
            queues=[CRON_QUEUE] if for_cron else self._service.queues,
            spared=None if for_cron or self._duty is None else CRON_QUEUE,
            home=self._home,
            parent=self._card.card.pid,
        )
        runner.run(until_empty=for_cron or self._service.until_empty)

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
        if child.role is _Role.TICKER:
            return
        if child.role is _Role.CRON_RUNNER and self._duty is not None:
            self._duty.look_soon()
            for ticker in self._children:
                if ticker.role is _Role.TICKER:
                    _send(ticker.pid, LOOK)
        words = last_words(self._spool, child.name)
        has_left_a_task = bool(names_in(self._spool.path("running", child.name)))
        in_good_order = not has_left_a_task and (status == 0 or child.was_told)
        death = None if in_good_order else _death(child, status, words)
        if death is not None:
            logger.error(
                "Runner %d of %s died: %s%s",
                child.pid,
                self._spool.directory,
                death,
                f"\n{words.stack}" if words.stack else "",
            )
        self._dead[child.name] = death
        self._next_sweep = 0.0


def _death(child: _Child, status: int | None, words: LastWords) -> str | None:
    """Return how a runner died, None where a stop cut it."""
    code = None if status is None else os.waitstatus_to_exitcode(status)
    if words.outlasted_grace or (child.has_grace and code == -signal.SIGKILL):
        return None
    if code is not None and code < 0:
        return f"signal {-code}"
    return words.cause or (UNSEEN if code is None else f"exit code {code}")


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


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
