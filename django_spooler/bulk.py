"""Many calls queued together: what a block enqueues goes out at its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from django.core.exceptions import SynchronousOnlyOperation

from . import database
from .exceptions import EnqueueError
from .handover import Handover


@contextmanager
def bulk_enqueue() -> Iterator[None]:
    """Queue what the block enqueues together, at its end: with fewer waits for disk and database.

    An exception that leaves the block queues nothing, and each ``enqueue`` before the end only says
    what its task will be. In a transaction everything still waits for the commit; what is enqueued
    in a transaction of its own inside the block goes with that one instead. Raise EnqueueError at the
    end where a task cannot be accepted: it tells how many were, and those behind are not queued.
    """
    block, outer = _Block(), _current.get()
    _current.set(block)
    try:
        yield
    finally:
        block.close()
        if _current.get() is block:  # else a generator ends where it did not begin
            _current.set(outer)
    _go([each for each in block.handovers if outer is None or not outer.add(each)])


def _go(handovers: list[Handover]) -> None:
    parts = [part for each in handovers for part in each.parts(each.executor.together)]
    queued = 0
    for part in parts:
        try:
            _in_sync(part)
        except EnqueueError as error:
            total = sum(len(each.submissions) for each in parts)
            if total == 1:
                raise
            queued += error.accepted
            raise type(error)(f"{queued} of {total} tasks are queued: {error}") from error
        queued += len(part.submissions)


def _in_sync(part: Handover) -> None:
    try:
        part.go()
    except SynchronousOnlyOperation as error:
        raise EnqueueError(
            "The block ends in a coroutine, where Django lets nobody use the database, and RESULTS are"
            " kept there. Put the block into a function of its own, and await"
            " sync_to_async(function)()."
        ) from error


def takes(handover: Handover) -> bool:
    """Tell whether the block this code stands in took the submissions; else they are to go now."""
    block = _current.get()
    return block is not None and block.add(handover)


class _Block:
    """What a block has collected. Tasks of asyncio and threads that it starts see it too."""

    def __init__(self) -> None:
        self._by_way: dict[object, Handover] = {}
        self._depth = database.depth()
        self._process = os.getpid()
        self._lock = Lock()
        self._is_open = True

    def add(self, handover: Handover) -> bool:
        """Take the submissions; False where the block does not decide about them.

        They are in another transaction, or in one that is ended by hand, or in a process that was
        forked in the block and may never come to its end; or the block has ended.
        """
        depth = database.depth()
        if depth is None or depth != self._depth or os.getpid() != self._process:
            return False
        with self._lock:
            if self._is_open:
                known = self._by_way.setdefault(handover.way, handover)
                if known is not handover:
                    known.submissions += handover.submissions
            return self._is_open

    def close(self) -> None:
        """Take nothing any more."""
        with self._lock:
            self._is_open = False

    @property
    def handovers(self) -> list[Handover]:
        """What it has taken, for the process that it was taken in."""
        return [*self._by_way.values()] if os.getpid() == self._process else []


_current: ContextVar[_Block | None] = ContextVar("django_spooler.bulk", default=None)
