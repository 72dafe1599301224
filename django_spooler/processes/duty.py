"""What a supervisor has to do with periodic jobs, where ``OPTIONS["CRON"]`` is set.

One supervisor of each node has the duty: it keeps the process that ticks, and starts runners for what
that hands over. They serve no other queue, so a long job holds up neither a task nor another job.
"""

import contextlib
import fcntl
import os
import time

from ..backends import served_directories
from ..conf import Options
from ..own import CRON_QUEUE, own_backend, own_queue
from ..spool.directory import ALL_QUEUES, Spool
from ..spool.files import make_directories, names_in

_LOOK_PAUSE = 1.0
"""Seconds between two looks for what was handed over and nobody runs."""


def duty_of(spool: Spool, options: Options) -> "Duty | None":
    """Return the duty of a supervisor of this directory, None where it is another's or nobody's."""
    if options.CRON and os.path.realpath(spool.directory) == _home():
        return Duty(spool, options.CRON_PROCESSES)
    return None


def _home() -> str | None:
    """Return the one directory of the site whose supervisors may have the duty."""
    backend = own_backend()
    if backend is None:
        return None
    queue = own_queue(backend)
    found = served_directories()
    return next(
        (path for path, queues in found.items() if queue in queues), min(found, default=None)
    )


class Duty:
    """The duty, had by whoever holds the lock on a file of the directory."""

    def __init__(self, spool: Spool, most: int) -> None:
        """``most`` is how many runners it may have at a time."""
        self._spool = spool
        self.most = most
        self._lock: int | None = None
        self._next_try = 0.0
        self._next_look = 0.0
        self.announcements, self._announce = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Readable once something was handed over."""

    def is_ours(self) -> bool:
        """Tell whether this process has the duty; take it where nobody has."""
        if self._lock is None and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + _LOOK_PAUSE
            self._lock = self._try_to_lock()
        return self._lock is not None

    def give_up(self) -> None:
        """Leave the duty to another process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def waiting(self) -> int:
        """Return how many runs were handed over and not started, when it is time to look."""
        if not self._was_announced() and time.monotonic() < self._next_look:
            return 0
        self._next_look = time.monotonic() + _LOOK_PAUSE
        if {ALL_QUEUES, CRON_QUEUE} & self._spool.paused():
            return 0
        ready = self._spool.path("ready", CRON_QUEUE)
        return sum(len(names_in(os.path.join(ready, level))) for level in names_in(ready))

    def look_soon(self) -> None:
        """Look at the next call of ``waiting``: a runner that left may have missed something."""
        self._next_look = 0.0

    def tick(self, parent: int) -> None:
        """Be the process that ticks, a child of ``parent``."""
        from ..cron.ticker import Ticker  # which needs the site's models

        Ticker(self._spool, parent=parent, announcements=self._announce, most=self.most).run()

    def _was_announced(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.announcements, 4096))
        return False

    def _try_to_lock(self) -> int | None:
        make_directories(self._spool.path("cron"))
        path = self._spool.path("cron", "lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
