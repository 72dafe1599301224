"""Descriptors that are kept back from tasks.

A runner lives long, so a task that leaks descriptors uses up those of its process. Some are kept
back meanwhile: its file can be settled then, and the process knows that it is of no more use.
"""

import contextlib
import errno
import logging
import os
import resource
from collections.abc import Iterator

KEPT_BACK = 16
"""Descriptors; settling a task takes three at a time."""

logger = logging.getLogger("django_spooler")


class Descriptors:
    """What is left to this process."""

    def __init__(self) -> None:
        self.used_up = False
        """Whether a task has taken the last one it could have."""

    @contextlib.contextmanager
    def kept_back(self) -> Iterator[None]:
        """Run the block with KEPT_BACK descriptors fewer than the process may have."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(1, soft - KEPT_BACK), hard))
        try:
            yield
        finally:
            self.used_up = _none_is_left()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            if self.used_up:
                logger.error(
                    "Process %d has used up its descriptors (%d, ulimit -n): its tasks do not close"
                    " what they open. Another takes its place",
                    os.getpid(),
                    soft,
                )


def _none_is_left() -> bool:
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
