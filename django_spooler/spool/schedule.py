"""What becomes ready next: the files that wait for a time.

A scheduled file stands in a directory for the minute it is due, and its mtime is the exact time.
Only the minutes that have begun are ever listed, so what waits for tomorrow costs nothing.
"""

import contextlib
import heapq
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .directory import Spool
from .files import is_closed, is_still_written, is_stray, names_in
from .names import TaskName, order
from .place import Place, is_number, parse_level
from .watch import RELIST, Watcher

logger = logging.getLogger("django_spooler")

BATCH = 100
"""Files made ready at a time, so that the first of many due at once starts soon."""

_SECOND = 1_000_000_000
"""Nanoseconds."""

_BEING_WRITTEN = 20_000_000
"""Nanoseconds until a file is looked at again whose producer has not finished it."""

_SWEEP_AFTER = 180
"""Seconds after its minute that an empty directory is removed."""


@dataclass(slots=True)
class _Minute:
    """The files of one place that are due within one minute."""

    path: str
    place: Place
    start: int
    """Seconds since the epoch."""
    due: list[tuple[int, tuple[int, int], str]] = field(default_factory=list)
    """A heap of (nanoseconds since the epoch, order of the names, name)."""
    known: set[str] = field(default_factory=set)
    """The names in the heap."""
    stale: bool = True


class Schedule:
    """Makes the scheduled files of one spool ready when their time has come."""

    def __init__(self, spool: Spool, watcher: Watcher) -> None:
        self._spool = spool
        self._watcher = watcher
        self._minutes: dict[str, _Minute] = {}
        self._begun: dict[str, _Minute] = {}
        self._later: list[tuple[int, str]] = []
        self._tree_is_stale = True
        self._relist_at = 0.0

    def note_changes(self, changed: set[str]) -> None:
        """Take note of the directories the watcher found changed."""
        scheduled = self._spool.path("scheduled")
        for path in changed:
            if minute := self._minutes.get(path):
                minute.stale = True
            elif path.startswith(scheduled):
                self._tree_is_stale = True

    def relist(self) -> None:
        """List everything again at the next call of ``make_due_ready``."""
        self._tree_is_stale = True
        for minute in self._begun.values():
            minute.stale = True
            minute.due.clear()
            minute.known.clear()

    def make_due_ready(self) -> bool:
        """Move up to BATCH files whose time has come to ready; tell whether more are due.

        Those of higher priority go first.
        """
        if time.monotonic() >= self._relist_at:
            self._relist_at = time.monotonic() + RELIST
            self.relist()
        if self._tree_is_stale:
            self._find_minutes()
        now = time.time_ns()
        self._begin_minutes(now)
        moved = 0
        for minute in sorted(self._begun.values(), key=lambda minute: minute.place.level):
            if minute.stale:
                self._list(minute)
            while minute.due and minute.due[0][0] <= now and moved < BATCH:
                moved += self._take(minute, now)
            if not minute.due and minute.start + _SWEEP_AFTER < time.time():
                self._sweep(minute)
        return moved == BATCH

    def next_due(self) -> float | None:
        """Return when to look again (seconds since the epoch), None where nothing is scheduled."""
        times = [minute.due[0][0] / 1e9 for minute in self._begun.values() if minute.due]
        if self._later:
            times.append(float(self._later[0][0]))
        return min(times, default=None)

    def _take(self, minute: _Minute, now: int) -> bool:
        """Make the first file of the heap ready if its time has come; tell whether it was moved.

        An error of the directory leaves it in the heap.
        """
        *_, name = minute.due[0]
        path = os.path.join(minute.path, name)
        try:
            # uWSGI sets the time behind the content, and shows the file before both.
            due = now + _BEING_WRITTEN if is_still_written(path) else os.lstat(path).st_mtime_ns
            if due > now:
                heapq.heapreplace(minute.due, (due, order(name), name))
                return False
            ready = replace(TaskName.parse(name), ready_at=max(0, due // 1000))
            self._spool.make_ready(path, ready, minute.place)
        except FileNotFoundError:  # another process was faster
            minute.known.discard(name)
        except PermissionError as error:  # another user's directory: it stays till the next listing
            logger.error("%r cannot be made ready: %s", path, error.strerror)
        else:
            minute.known.discard(name)
        heapq.heappop(minute.due)
        return True

    def _begin_minutes(self, now: int) -> None:
        while self._later and self._later[0][0] * 1_000_000_000 <= now:
            _, path = heapq.heappop(self._later)
            if path in self._minutes:
                self._begun[path] = self._minutes[path]

    def _list(self, minute: _Minute) -> None:
        minute.stale = False
        try:
            self._watcher.watch_files(minute.path)
        except (FileNotFoundError, NotADirectoryError):
            self._drop(minute)
            return
        except PermissionError:
            if not is_closed(minute.path):
                raise
            return
        for name in names_in(minute.path):
            if name not in minute.known:
                with contextlib.suppress(FileNotFoundError):
                    heapq.heappush(minute.due, (self._look_at(minute, name), order(name), name))
                    minute.known.add(name)

    def _look_at(self, minute: _Minute, name: str) -> int:
        """Return when to look whether a file is due (nanoseconds since the epoch).

        uWSGI sets whole seconds, rounded up; our producer sets the exact time just after.
        """
        due = os.lstat(os.path.join(minute.path, name)).st_mtime_ns
        return due if due % _SECOND else due - _SECOND

    def _sweep(self, minute: _Minute) -> None:
        try:
            os.rmdir(minute.path)
        except FileNotFoundError:
            pass
        except OSError:  # something came in, or cannot be moved
            return
        self._drop(minute)

    def _drop(self, minute: _Minute) -> None:
        self._begun.pop(minute.path, None)
        self._minutes.pop(minute.path, None)

    def _find_minutes(self) -> None:
        self._tree_is_stale = False
        scheduled = self._spool.path("scheduled")
        os.makedirs(scheduled, mode=0o750, exist_ok=True)
        for place, shelf in self._shelves(scheduled):
            for name, path in self._entries(shelf):
                if not is_number(name) or len(name) > 12 or is_stray(path):
                    self._spool.set_stray_aside(path)
                elif path not in self._minutes:
                    minute = _Minute(path, place, int(name) * 60)
                    self._minutes[path] = minute
                    heapq.heappush(self._later, (minute.start, path))

    def _shelves(self, scheduled: str) -> Iterator[tuple[Place, str]]:
        self._watcher.watch_entries(scheduled)  # without rights on it nothing can be served
        for queue in os.listdir(scheduled):
            for level_name, path in self._entries(os.path.join(scheduled, queue)):
                level = parse_level(level_name)
                if level is None:
                    self._spool.set_stray_aside(path)
                else:
                    yield Place(queue, level), path

    def _entries(self, directory: str) -> list[tuple[str, str]]:
        if is_stray(directory):  # a link would lead to files that are not ours to move
            self._spool.set_stray_aside(directory)
            return []
        try:
            self._watcher.watch_entries(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            if not is_closed(directory):
                raise
            return []
        return [(name, os.path.join(directory, name)) for name in names_in(directory)]
