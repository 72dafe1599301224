"""What ``import = django_spooler.worker`` does: it makes uWSGI's spooler processes serve tasks.

Imported in the master it prepares the site and the directories; each spooler process then becomes a
supervisor of a runner. With ``lazy-apps`` the spoolers import it themselves (``spooler-import``).

uWSGI's loop stays in charge: our handler is called for a bell file, looks after its runner, asks
for the next pass and returns: after a second while files of other libraries are there, at once when
one comes in or a uWSGI signal waits. Else it stays: a pass has nothing to find then but a damaged
file of this moment, which the loop would delete unseen.
"""

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from functools import partial
from types import FrameType, ModuleType
from typing import Any

from . import database
from .backends import process_options
from .conf import Options
from .consumer import adopt
from .embedded import uwsgi_module
from .exceptions import SpoolerError
from .neighbours import Neighbours, import_uwsgidecorators
from .orphans import signal_on_death_of_parent
from .processes.identity import package_version, site_identity
from .processes.site import set_up_site
from .processes.supervisor import Service, Supervisor
from .processes.wakeup import Wakeup
from .settle import announce_set_aside
from .spool import packet
from .spool.directory import Spool
from .spool.files import make_directories, names_in
from .spool.process import SERVER, SPOOLER, HeldCard, new_card
from .spool.scanned import (
    ScannedDirectory,
    hang_bells,
    is_bell,
    is_guard,
    scanned_directories,
)
from .spool.watch import new_watcher
from .tasks import SPOOL_RETRY, load_tasks

logger = logging.getLogger("django_spooler")

SLICE = 1.0
"""Seconds our handler keeps uWSGI's loop while that has something else to do."""

_HURRY = 0.1
"""Seconds after a foreign file came in which our handler returns at once."""

_FREQUENCY = 1
"""Seconds between two passes of uWSGI's loop where nothing wakes it."""


class Worker:
    """Our part of one spooler process."""

    def __init__(self, uwsgi: ModuleType, options: Options) -> None:
        self._uwsgi = uwsgi
        self._options = options
        self._neighbours = Neighbours(uwsgi, self.handle)
        self._supervisor: Supervisor | None = None
        self._hurry_until = 0.0
        self._told_to_leave = False
        # As web workers see it; later uWSGI's loop goes to the directory of each file it reads.
        self._home = os.getcwd()
        self._inherited_queues: set[int] = set()
        self._loop_queues: set[int] = set()
        self._cards: list[HeldCard] = []

    # Setting up

    def install(self) -> None:
        """Become uWSGI's handler; the one set before goes on with what is not ours."""
        import_uwsgidecorators(self._uwsgi)
        self._neighbours.take_over()
        previous_hook = getattr(self._uwsgi, "post_fork_hook", None)

        def post_fork() -> None:
            if previous_hook is not None:
                previous_hook()
            self.after_fork()

        setattr(self._uwsgi, "post_fork_hook", post_fork)  # noqa: B010
        if self._is_spooler():
            self.after_fork()
        else:
            for directory in set(_directories(self._uwsgi)):
                self._prepare(directory)
                self._show(directory, SERVER)

    def after_fork(self) -> None:
        """Make a forked process independent of the master's connections, and a spooler ours."""
        database.drop_inherited()
        if self._is_spooler():
            gc.freeze()  # what was loaded stays shared with the master and the web workers
            self._neighbours.take_over()
            self._uwsgi.set_spooler_frequency(_FREQUENCY)
            signal.signal(signal.SIGHUP, self._leave)
            if self._uwsgi.masterpid():
                # At a stop uWSGI's own exit can hang, in whatever the signal broke into.
                signal_on_death_of_parent(signal.SIGKILL)
            self._inherited_queues = _event_queues()
            self._prepare(self._own_directory())
            self._show(self._own_directory(), SPOOLER)
            self._look_first()

    def _look_first(self) -> None:
        """Clean the directory before uWSGI's loop reads it: it deletes what is damaged."""
        self._spool = Spool(self._own_directory(), announce_set_aside)
        self._scanned = ScannedDirectory(
            self._spool,
            self._neighbours.verdict,
            partial(adopt, self._spool),
            ordered=_is_ordered(self._uwsgi),
        )
        self._look_around()

    def _prepare(self, directory: str) -> None:
        try:
            make_directories(directory)
            spool = Spool(directory)
            spool.prepare()
            hang_bells(spool, _directories(self._uwsgi).count(directory))
        except (SpoolerError, OSError):
            logger.exception("Spool directory %s cannot be served", directory)

    def _show(self, directory: str, role: str) -> None:
        """Leave a card for whoever asks what is wrong: it says that we are here, and how."""
        with contextlib.suppress(OSError):  # what is wrong with the directory was told before
            card = new_card(role, "uwsgi", _generation(self._uwsgi), facts=_facts(self._uwsgi))
            self._cards.append(HeldCard(Spool(directory), card))

    def _is_spooler(self) -> bool:
        return bool(self._uwsgi.i_am_the_spooler())

    def _own_directory(self) -> str:
        index = list(self._uwsgi.spooler_pids()).index(os.getpid())
        return _directories(self._uwsgi)[index]

    # Serving

    def handle(self, environ: Mapping[bytes | str, bytes]) -> Any:
        """Answer uWSGI's loop for one file; the values are SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE."""
        # uWSGI gives this key and "body" as text, those of the packet as bytes.
        name = os.fsdecode(environ["spooler_task_name"])
        if is_guard(name):
            self._look_around()
            return SPOOL_RETRY
        if is_bell(name):
            self._serve_slice()
            os.kill(os.getpid(), signal.SIGUSR1)
            return SPOOL_RETRY
        self._scanned.note_try(name)
        variables = {os.fsencode(key): value for key, value in environ.items()}
        if packet.NAME in variables or self._neighbours.verdict(variables) is not None:
            return SPOOL_RETRY  # the next look moves it
        return self._neighbours.call(environ, variables)

    def _serve_slice(self) -> None:
        """Look after the runner and the directory, for a second or until others have work."""
        until = time.monotonic() + SLICE
        if self._supervisor is None:
            self._start()
        while self._supervisor is not None:
            self._tend()
            now = time.monotonic()
            if self._scanned.has_untried and now < self._hurry_until:
                return
            if now >= until and (self._scanned.has_others or not self._loop_queues):
                return
            self._watcher.wait(
                SLICE if now >= until else until - now,
                self._wakeup.fileno(),
                *self._supervisor.descriptors,
                *self._loop_queues,
            )
            self._wakeup.drain()
            if select.select(self._loop_queues, (), (), 0)[0]:
                return

    def _start(self) -> None:
        """Become a supervisor; where the directory does not allow it, a later pass tries again."""
        try:
            supervisor = Supervisor(
                self._spool,
                "uwsgi",
                _generation(self._uwsgi),
                service=Service(runners=1),
                options=self._options,
                home=self._home,
            )
        except (SpoolerError, OSError):
            logger.exception("Spool directory %s cannot be served yet", self._spool.directory)
            time.sleep(SLICE)
            return
        self._watcher = new_watcher()
        if not self._uwsgi.opt.get("spooler-harakiri"):
            self._loop_queues = _event_queues() - self._inherited_queues
        self._wakeup = Wakeup()
        self._wakeup.hear()
        self._supervisor = supervisor

    def _tend(self) -> None:
        assert self._supervisor is not None
        try:
            self._watch()
        except (SpoolerError, OSError):
            logger.exception("Spool directory %s makes trouble", self._spool.directory)
            time.sleep(SLICE)
            self._prepare(self._spool.directory)
        self._supervisor.tick()
        self._look_around()  # last, since uWSGI's loop may come to the files next
        if self._is_orphan():
            os._exit(0)  # the runner hears of it, ends its task and leaves too
        if self._told_to_leave:
            self._leave_when_finished()

    def _watch(self) -> None:
        self._watcher.changed()
        for directory in scanned_directories(self._spool):
            with contextlib.suppress(PermissionError):
                self._watcher.watch_files(directory)

    def _look_around(self) -> None:
        """Move out of the scanned directory what is not others'."""
        try:
            hang_bells(self._spool, _directories(self._uwsgi).count(self._spool.directory))
            if self._scanned.sweep():
                self._hurry_until = time.monotonic() + _HURRY
        except (SpoolerError, OSError):
            logger.exception("Spool directory %s makes trouble", self._spool.directory)
            self._prepare(self._spool.directory)

    # Leaving

    def _leave(self, signum: int, frame: FrameType | None) -> None:
        self._told_to_leave = True

    def _is_orphan(self) -> bool:
        """Tell whether the master was killed: what it starts next must not find us beside it."""
        return self._uwsgi.masterpid() not in (0, os.getppid())

    def _leave_when_finished(self) -> None:
        """End this process once its runner has ended its task; uWSGI's master starts another.

        Until then uWSGI's loop gets its turns, or ``spooler-harakiri`` would cut the task. A stop in
        the meantime kills this process, and the runner hears of that.
        """
        assert self._supervisor is not None
        self._supervisor.finish()  # again: one that was just started may not have heard
        if self._supervisor.finished:
            self._supervisor.close()
            os._exit(0)


def _event_queues() -> set[int]:
    """Return the epoll descriptors of this process: uWSGI's loop hears of its signals by one.

    Empty where the system has no such thing.
    """
    found = set()
    for name in names_in("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                found.add(int(name))
    return found


def _directories(uwsgi: ModuleType) -> list[str]:
    """Return the spool directory of each spooler process."""
    return [os.fsdecode(directory) for directory in getattr(uwsgi, "spoolers", ())]


def _generation(uwsgi: ModuleType) -> str:
    """Return what is the same for all processes of this start of this server, and only for them."""
    reloads = os.environ.get("UWSGI_RELOADS", "0")
    return f"{socket.gethostname()}:{uwsgi.masterpid()}:{uwsgi.started_on}:{reloads}"


def _facts(uwsgi: ModuleType) -> dict[str, Any]:
    """Return what only a process of this uWSGI can see of its set-up."""
    return {
        "version": package_version(),
        "site": site_identity(),
        "uwsgi": os.fsdecode(uwsgi.version),
        "threads": "enable-threads" in uwsgi.opt or "threads" in uwsgi.opt,
        "ordered": _is_ordered(uwsgi),
        "spoolers_import": not uwsgi.opt.get("lazy-apps") or _spoolers_import(uwsgi),
    }


def _is_ordered(uwsgi: ModuleType) -> bool:
    return "spooler-ordered" in uwsgi.opt


def _spoolers_import(uwsgi: ModuleType) -> bool:
    return bool(uwsgi.opt.get("spooler-import") or uwsgi.opt.get("spooler-python-import"))


def _install() -> None:
    uwsgi = uwsgi_module()
    if uwsgi is None:
        raise SpoolerError(
            "django_spooler.worker works only inside uWSGI (import = django_spooler.worker)."
            " Elsewhere run: python manage.py spooler work"
        )
    set_up_site(uwsgi)
    load_tasks()
    _warn_of_lazy_apps(uwsgi)
    Worker(uwsgi, process_options()).install()


def _warn_of_lazy_apps(uwsgi: ModuleType) -> None:
    """Say so where uWSGI imports this module in the web workers only: every task would wait."""
    if uwsgi.opt.get("lazy-apps") and not _spoolers_import(uwsgi):
        logger.error(
            "With lazy-apps uWSGI's spoolers do not do what import says, so no task would run. Add"
            " to its configuration: spooler-import = django_spooler.worker"
        )


_install()
