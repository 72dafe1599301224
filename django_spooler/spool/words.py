"""What a runner leaves in writing for whoever finds it dead.

The kernel tells only its parent how a process died, and a runner may outlive its parent. So it
keeps a file open all its life: it notes there that it was told to leave, and ``faulthandler`` adds
its stack where a timeout, the grace of a stop or a fatal signal ends it.
"""

import contextlib
import os
from dataclasses import dataclass
from typing import IO

from .directory import Spool
from .files import open_without_waiting

_LEAVING = "It was told to leave.\n"
_TIMEOUT = "Timeout ("
"""How ``faulthandler.dump_traceback_later`` begins."""

_SIZE_MAX = 100_000
"""Characters read of a stack."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a dead runner has left in writing."""

    was_leaving: bool
    stack: str

    @property
    def outlasted_grace(self) -> bool:
        """Whether it ended itself, since its task took longer than a stop waits."""
        return self.was_leaving and self.stack.startswith(_TIMEOUT)

    @property
    def cause(self) -> str | None:
        """What ended it by its own account, None where it says nothing."""
        if not self.stack:
            return None
        return "timeout" if self.stack.startswith(_TIMEOUT) else "unknown signal"


def open_for_last_words(spool: Spool, name: str) -> IO[str]:
    """Open the file of the runner with this card's name."""
    return open(_path(spool, name), "w", encoding="utf-8", buffering=1)


def say_leaving(file: IO[str]) -> None:
    """Note that the runner was told to leave: what is cut from now on is not the task's fault."""
    with contextlib.suppress(OSError):
        os.write(file.fileno(), _LEAVING.encode())


def last_words(spool: Spool, name: str) -> LastWords:
    """Read what a runner has left."""
    try:
        with open(
            _path(spool, name), encoding="utf-8", errors="replace", opener=open_without_waiting
        ) as file:
            text = file.read(_SIZE_MAX)
    except OSError:
        text = ""
    stack = text.removeprefix(_LEAVING)
    return LastWords(was_leaving=stack != text, stack=stack.strip())


def forget_words(spool: Spool, name: str) -> None:
    """Remove the file."""
    with contextlib.suppress(OSError):
        os.unlink(_path(spool, name))


def _path(spool: Spool, name: str) -> str:
    return spool.path("tmp", f"words-{name}")
