"""What a task may change around it and the next one does not find changed."""

import contextlib
import logging
import os
import resource
import signal
import sys

# What the signal module wraps: the enums it makes of every answer cost more than all the rest here.
from _signal import getsignal, pthread_sigmask  # type: ignore[import-not-found]

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)

_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
"""What a task may bound itself by, and would harm the next ones by; of descriptors see
``Descriptors``."""

logger = logging.getLogger("django_spooler")


class Surroundings:
    """The process as it is before its first task.

    It holds the current directory, the umask, the limits of its resources, and what becomes of the
    usual signals. Environment variables and what modules keep stay as a task leaves them, as in a
    web worker.
    """

    def __init__(self) -> None:
        self.spoilt = False
        """Whether a task has changed what this process may not change back."""

        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a task may leave an alarm behind
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else Python cannot put uWSGI's back
        self._handlers = [(signum, getsignal(signum)) for signum in _SIGNALS]
        self._blocked = pthread_sigmask(signal.SIG_BLOCK, ())
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._directory = os.getcwd()
        self._limits = [(limit, resource.getrlimit(limit)) for limit in _LIMITS]

    def restore(self) -> None:
        """Undo what a task has changed, but for limits."""
        for signum, handler in self._handlers:
            if getsignal(signum) != handler:
                signal.signal(signum, handler)
        pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        os.umask(self._umask)
        if not _stands_in(self._directory):
            with contextlib.suppress(OSError):
                os.chdir(self._directory)

    def restore_limits(self) -> None:
        """Undo what tasks have changed of the limits."""
        for limit, values in self._limits:
            if resource.getrlimit(limit) != values:
                self._give_back(limit, values)

    def _give_back(self, limit: int, values: tuple[int, int]) -> None:
        try:
            resource.setrlimit(limit, values)
        except (OSError, ValueError):  # only root may raise a hard limit again
            self.spoilt = True
            logger.warning(
                "Process %d leaves: a task has lowered a hard limit (setrlimit) for good. Another"
                " takes its place",
                os.getpid(),
            )


def reopen_output() -> None:
    """Give this process its output again where a task has closed it: every log handler would fail."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(getattr(sys, name), "closed", False):
            with contextlib.suppress(OSError):  # the descriptor is closed too
                setattr(
                    sys, name, open(descriptor, "w", 1, errors="backslashreplace", closefd=False)
                )


def _stands_in(directory: str) -> bool:
    try:
        return os.getcwd() == directory
    except OSError:  # a task may have removed the one it went to
        return False
