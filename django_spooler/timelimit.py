"""A bound on the time of a task: first an exception in it, then the end of its process."""

import contextlib
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import IO, Any, NamedTuple

from .exceptions import TaskTimeout

logger = logging.getLogger("django_spooler")

_AGAIN = 0.5
"""Seconds after which an alarm that was not heard is given again.

The system gives it to another thread while the main one has a different signal to answer, and then what
the main one waits for goes on. Source: ``wants_signal`` in ``kernel/signal.c`` of Linux.
"""


@contextlib.contextmanager
def time_limit(seconds: float | None, name: str) -> Iterator[None]:
    """Raise TaskTimeout in the block once ``seconds`` are over.

    It is raised by SIGALRM, so only in a main thread and between two bytecodes; elsewhere the block
    is not bound, and the log says so. See ``kill_after`` for what C code holds up.
    """
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        logger.warning(
            "The timeout of %s, %g s, is not kept: it runs in a thread beside the main one",
            name,
            seconds,
        )
        yield
        return

    def raise_timeout(signum: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise TaskTimeout(f"{name} ran for more than its timeout of {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class _End(NamedTuple):
    """When this process is to end."""

    at: float
    """Seconds of ``time.monotonic``."""
    trace: IO[Any]
    foreword: str
    """What goes there before the stack does."""


_ends: dict[str, _End] = {}


@contextlib.contextmanager
def kill_after(seconds: float, trace: IO[Any]) -> Iterator[None]:
    """End this process with status 1 if the block takes more than ``seconds``, whatever it does.

    The stack is written to ``trace`` first.
    """
    _ends["block"] = _End(time.monotonic() + seconds, trace, "")
    _arm()
    try:
        yield
    finally:
        del _ends["block"]
        _arm()


def end_within(seconds: float, trace: IO[Any], foreword: str) -> None:
    """End this process with status 1 after ``seconds``, unless it ends before; only the first counts.

    ``foreword`` and the stack are written to ``trace`` first. It may be called in a signal handler.
    """
    _ends.setdefault("process", _End(time.monotonic() + seconds, trace, foreword))
    _arm()


def _arm() -> None:
    """Set ``faulthandler``'s one timer to what comes first.

    Its C thread needs no GIL, so neither C code nor ``except: pass`` keeps the process.
    """
    faulthandler.cancel_dump_traceback_later()
    for end in sorted(_ends.values(), key=lambda end: end.at)[:1]:
        with contextlib.suppress(OSError):
            os.write(end.trace.fileno(), end.foreword.encode())
        pause = max(0.001, end.at - time.monotonic())
        faulthandler.dump_traceback_later(pause, exit=True, file=end.trace)
