"""What a runner leaves in writing for whoever finds it dead.

The kernel tells only its parent how a process died, and a runner may outlive its parent. So it
keeps a file open all its life: it notes there that it was told to leave, and ``faulthandler`` adds
its stack where a timeout, the grace of a stop or a fatal signal ends it.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import IO

from .directory import Spool
from .files import open_without_waiting, private
from .unfinished import WORDS

GRACE = "What follows is the end of its grace.\n"
"""What is written before the stack that ``faulthandler`` will add where a stop waits no longer."""

UNSEEN = "signal 9 or an exit of its own"
"""How a runner died that left no word and whose parent did not see it: all else leaves one."""

_LEAVING = "It was told to leave.\n"
_TIMEOUT = "Timeout ("
"""How ``faulthandler.dump_traceback_later`` begins."""

_FATAL = "Fatal Python error: "
_FAULTS = {
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Illegal instruction": signal.SIGILL,
    "Floating point exception": signal.SIGFPE,
    "Floating-point exception": signal.SIGFPE,
}
"""What ``faulthandler`` calls them behind that; Python 3.12 added the hyphen."""

_SIZE_MAX = 100_000
"""Characters read of a stack."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a dead runner has left in writing."""

    was_leaving: bool
    has_grace: bool
    """Whether a stop was about to end it."""
    stack: str

    @property
    def outlasted_grace(self) -> bool:
        """Whether it ended itself, since its task took longer than a stop waits."""
        return self.has_grace and self.stack.startswith(_TIMEOUT)

    @property
    def cause(self) -> str | None:
        """What ended it by its own account, None where it says nothing."""
        if self.stack.startswith(_TIMEOUT):
            return "timeout"
        fault = _FAULTS.get(self.stack.partition("\n")[0].removeprefix(_FATAL))
        return f"signal {fault:d}" if fault else None


def open_for_last_words(spool: Spool, name: str) -> IO[str]:
    """Open the file of the runner with this card's name."""
    return open(_path(spool, name), "w", encoding="utf-8", buffering=1, opener=private)


def say_leaving(file: IO[str]) -> None:
    """Note that the runner was told to leave."""
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
    said = text.removeprefix(_LEAVING)
    stack = said.replace(GRACE, "")
    return LastWords(was_leaving=said != text, has_grace=stack != said, stack=stack.strip())


def forget_words(spool: Spool, name: str) -> None:
    """Remove the file."""
    with contextlib.suppress(OSError):
        os.unlink(_path(spool, name))


def _path(spool: Spool, name: str) -> str:
    return spool.path("tmp", f"{WORDS}{name}")
