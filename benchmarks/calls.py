"""What a producer is asked to do: the same for a web worker of uWSGI and for a plain process.

``BENCH_MODULE`` names the peer's module; it has ``enqueue(seconds)``.
"""

import importlib
import os
import random
import time
from types import ModuleType
from typing import Any

from .board import GAP, STARTED, Board
from .sampling import start_sampling, stop_sampling

__all__ = ["answer", "peer", "start_sampling", "stop_sampling"]

_PAUSE = (0.02, 0.06)
"""Seconds between two tasks of an idle worker, by chance, so that no poll falls into step."""

_NAP = 0.03
"""Seconds a worker is kept busy."""


def peer() -> ModuleType:
    """Return the peer's module."""
    return importlib.import_module(os.environ["BENCH_MODULE"])


def enqueue(count: int, seconds: float = 0.0, function: str = "enqueue") -> float:
    """Enqueue ``count`` tasks of ``seconds``, one by one, and return the seconds it took."""
    put = getattr(peer(), function)
    began = time.perf_counter()
    for _ in range(count):
        put(seconds)
    return time.perf_counter() - began


def enqueue_in_bulk(count: int) -> float:
    """Enqueue ``count`` tasks in one block, and return the seconds it took."""
    began = time.perf_counter()
    with peer().bulk_enqueue():
        for _ in range(count):
            peer().enqueue(0.0)
    return time.perf_counter() - began


def idle(count: int, patience: float) -> list[float]:
    """Return the seconds from before each ``enqueue`` to the start of its task, one at a time."""
    put, board, found = peer().enqueue, Board(), []
    until = time.monotonic() + patience
    while len(found) < count and time.monotonic() < until:
        time.sleep(random.uniform(*_PAUSE))
        expected = board.count + 1
        began = time.monotonic_ns()
        put(0.0)
        if board.wait(expected, patience):
            found.append((board.last[STARTED] - began) / 1e9)
    return found


def busy(count: int, patience: float) -> list[float]:
    """Return the seconds from the end of each longer task to the start of one enqueued meanwhile."""
    put, board, found = peer().enqueue, Board(), []
    until = time.monotonic() + patience
    while len(found) < count and time.monotonic() < until:
        expected = board.count + 2
        put(_NAP)
        time.sleep(random.uniform(_NAP / 3, _NAP * 2 / 3))
        put(0.0)
        if board.wait(expected, patience):
            found.append(board.last[GAP] / 1e9)
        time.sleep(_PAUSE[0])
    return found


def enqueue_sampling(path: str | None) -> None:
    """Let the worker of this project begin to sample itself, or end it and write to ``path``."""
    peer().sample.enqueue(path)


def spooler_pids() -> list[int]:
    """Return uWSGI's spooler processes."""
    import uwsgi

    return list(uwsgi.spooler_pids())


def pid() -> int:
    """Return this process."""
    return os.getpid()


def prepared() -> None:
    """Load what the first task needs."""
    peer()


def answer(request: dict[str, Any]) -> Any:
    """Do what a request asks for; it comes from the run itself."""
    return globals()[request["function"]](*request["args"], **request["kwargs"])
