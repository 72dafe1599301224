"""Many calls queued together: what a block enqueues goes out at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from . import database
from .handover import Handover

_TOGETHER = 100
"""Calls that are handed over at a time: so many files are open then."""


@contextmanager
def bulk_enqueue() -> Iterator[None]:
    """Queue what the block enqueues together, at its end: with fewer waits for disk and database.

    An exception that leaves the block queues nothing, and each ``enqueue`` before the end only says
    what its task will be. In a transaction everything still waits for the commit; what is enqueued
    in a transaction of its own inside the block goes with that one instead. Raise EnqueueError at the
    end where a task cannot be accepted: it tells how many were, and those behind are not queued.
    """
    block, outer = _Block(), _current.get()
    token = _current.set(block)
    try:
        yield
    finally:
        _current.reset(token)
        block.close()
    for handover in block.handovers:
        if outer is None or not outer.add(handover):
            for part in handover.parts(_TOGETHER):
                part.go()


def takes(handover: Handover) -> bool:
    """Tell whether the block this code stands in took the jobs; else they are to go now."""
    block = _current.get()
    return block is not None and block.add(handover)


class _Block:
    """What a block has collected. Tasks of asyncio and threads that it starts see it too."""

    def __init__(self) -> None:
        self._by_way: dict[object, Handover] = {}
        self._depth = database.depth()
        self._lock = Lock()
        self._is_open = True

    def add(self, handover: Handover) -> bool:
        """Take the jobs; False where they are in another transaction, or the block has ended."""
        if database.depth() != self._depth:
            return False
        with self._lock:
            if self._is_open:
                known = self._by_way.setdefault(handover.way, handover)
                if known is not handover:
                    known.jobs += handover.jobs
            return self._is_open

    def close(self) -> None:
        """Take nothing any more."""
        with self._lock:
            self._is_open = False

    @property
    def handovers(self) -> list[Handover]:
        """What it has taken."""
        return [*self._by_way.values()]


_current: ContextVar[_Block | None] = ContextVar("django_spooler.bulk", default=None)
