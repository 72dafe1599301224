"""Descriptors that are kept back from tasks.

A runner lives long, so a task that leaks descriptors uses up those of its process. Some are kept
back: the task's file can be settled with them, and the process knows that it is of no more use.
"""

import errno
import logging
import os
import resource

KEPT_BACK = 16
"""Descriptors; settling a task takes three at a time."""

logger = logging.getLogger("django_spooler")


class Descriptors:
    """What is left to this process."""

    def __init__(self) -> None:
        self.used_up = False
        """Whether a task has taken the last one it could have."""

        self._limits: tuple[int, int] | None = None

    def keep_back(self) -> None:
        """Let this process have KEPT_BACK descriptors fewer, until ``check`` finds none left."""
        self._limits = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(1, soft - KEPT_BACK), hard))

    def check(self) -> None:
        """Give out those kept back where a task has left none."""
        if self._limits is None or not _none_is_left():
            return
        self.used_up = True
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        logger.error(
            "Process %d has used up its descriptors (%d, ulimit -n): its tasks do not close what"
            " they open. Another takes its place",
            os.getpid(),
            self._limits[0],
        )


def _none_is_left() -> bool:
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
