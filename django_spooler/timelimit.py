"""A bound on the time of a task: first an exception in it, then the end of its process."""

import contextlib
import faulthandler
import signal
import threading
import time
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


_ends: dict[str, tuple[float, IO[Any]]] = {}
"""When this process is to end (seconds of ``time.monotonic``), and where its stack then goes."""


@contextlib.contextmanager
def kill_after(seconds: float | None, trace: IO[Any]) -> Iterator[None]:
    """End this process with status 1 if the block takes more than ``seconds``, whatever it does.

    The stack is written to ``trace`` first.
    """
    if seconds is None:
        yield
        return
    _ends["block"] = (time.monotonic() + seconds, trace)
    _arm()
    try:
        yield
    finally:
        del _ends["block"]
        _arm()


def end_within(seconds: float, trace: IO[Any]) -> None:
    """End this process with status 1 after ``seconds``, unless it ends before; only the first counts.

    The stack is written to ``trace`` first. It may be called in a signal handler.
    """
    _ends.setdefault("process", (time.monotonic() + seconds, trace))
    _arm()


def _arm() -> None:
    """Set ``faulthandler``'s one timer to what comes first.

    Its C thread needs no GIL, so neither C code nor ``except: pass`` keeps the process.
    """
    faulthandler.cancel_dump_traceback_later()
    for end, file in sorted(_ends.values(), key=lambda entry: entry[0])[:1]:
        faulthandler.dump_traceback_later(max(0.001, end - time.monotonic()), exit=True, file=file)
