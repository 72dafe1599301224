"""A bound on the time of a task: first an exception in it, then the end of its process."""

import contextlib
import faulthandler
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import IO, Any

from .exceptions import TaskTimeout


@contextlib.contextmanager
def time_limit(seconds: float | None, name: str) -> Iterator[None]:
    """Raise TaskTimeout in the block once ``seconds`` are over.

    It is raised by SIGALRM, so only in a main thread and between two bytecodes; elsewhere the block
    is not bound. See ``kill_after`` for what C code holds up.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_timeout(signum: int, frame: FrameType | None) -> None:
        raise TaskTimeout(f"{name} ran for more than its timeout of {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def kill_after(seconds: float | None, trace: IO[Any]) -> Iterator[None]:
    """End this process with status 1 once ``seconds`` are over, whatever it is busy with.

    The stack is written to ``trace`` first. ``faulthandler`` does it from a C thread that needs no
    GIL, so that neither C code nor ``except: pass`` keeps the process.
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
