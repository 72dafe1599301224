"""What becomes ready next: the files that wait for a time.

A scheduled file stands in a directory for the minute it is due, and its mtime is the exact time.
Only the minutes that have begun are ever listed, so what waits for tomorrow costs nothing. Whether
the next minute has a directory is asked by its name when it begins, and again when a new one is
announced; the names of all are only gone through now and then, for what stands there unexpectedly.
"""

import contextlib
import heapq
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .directory import Spool
from .files import is_closed, is_directory, is_still_written, is_stray, make_directories, names_in
from .names import TaskName, order
from .place import Place, parse_level, parse_minute
from .watch import RELIST, Watcher

logger = logging.getLogger("django_spooler")

BATCH = 100
"""Files made ready at a time, so that the first of many due at once starts soon."""

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
"""Nanoseconds."""

_BEING_WRITTEN = 20_000_000
"""Nanoseconds until a file is looked at again whose producer has not finished it."""

_SWEEP_AFTER = 180
"""Seconds after its minute that an empty directory is removed."""

_BACK = 3
"""Minutes that are asked for again when a new directory is announced: its maker may be slow."""


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
        self._shelves: dict[str, Place] = {}
        self._changed_shelves: set[str] = set()
        self._begun: dict[str, _Minute] = {}
        self._minute = 0
        self._tree_is_stale = True
        self._relist_at = 0.0

    def note_changes(self, changed: set[str]) -> None:
        """Take note of the directories the watcher found changed."""
        scheduled = self._spool.path("scheduled")
        for path in changed:
            if minute := self._begun.get(path):
                minute.stale = True
            elif path in self._shelves:
                self._changed_shelves.add(path)
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
        now = time.time_ns()
        self._find_begun(now // _MINUTE)
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
        if self._shelves:
            times.append((self._minute + 1) * 60.0)
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
            ready = replace(_waiting(name), ready_at=max(0, due // 1000))
            self._spool.make_ready(path, ready, minute.place)
        except FileNotFoundError:  # another process was faster
            minute.known.discard(name)
        except PermissionError as error:  # another user's directory: it stays till the next listing
            logger.error("%r cannot be made ready: %s", path, error.strerror)
        else:
            minute.known.discard(name)
        heapq.heappop(minute.due)
        return True

    def _list(self, minute: _Minute) -> None:
        minute.stale = False
        try:
            self._watcher.watch_files(minute.path)
        except (FileNotFoundError, NotADirectoryError):
            del self._begun[minute.path]
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
        self._begun.pop(minute.path, None)  # a listing may have found it gone

    def _find_begun(self, minute: int) -> None:
        """Find the directories of minutes up to this one (minutes since the epoch)."""
        if self._tree_is_stale or not 0 <= minute - self._minute <= _BACK:
            self._minute = minute
            self._find_shelves()
            return
        for shelf in self._changed_shelves:
            self._watch(shelf)
            self._ask_for(shelf, range(minute - _BACK, minute + 1))
        for shelf in self._shelves:
            self._ask_for(shelf, range(self._minute + 1, minute + 1))
        self._changed_shelves.clear()
        self._minute = minute

    def _ask_for(self, shelf: str, minutes: Iterable[int]) -> None:
        for minute in minutes:
            if is_directory(path := os.path.join(shelf, str(minute))):
                self._begin(path, self._shelves[shelf], minute)

    def _begin(self, path: str, place: Place, minute: int) -> None:
        if path not in self._begun:
            self._begun[path] = _Minute(path, place, minute * 60)

    def _find_shelves(self) -> None:
        """List the whole tree, down to the directories of minutes."""
        self._tree_is_stale = False
        self._changed_shelves.clear()
        scheduled = self._spool.path("scheduled")
        make_directories(scheduled)
        self._watcher.watch_entries(scheduled)  # without rights on it nothing can be served
        self._shelves = {}
        for queue in os.listdir(scheduled):
            for name, path in self._directories(os.path.join(scheduled, queue)):
                level = parse_level(name)
                if level is None:
                    self._spool.set_stray_aside(path)
                else:
                    self._shelves[path] = Place(queue, level)
                    self._look_through(path)

    def _look_through(self, shelf: str) -> None:
        for name, path in self._directories(shelf):
            if (minute := parse_minute(name)) is None:
                self._spool.set_stray_aside(path)
            elif minute <= self._minute:
                self._begin(path, self._shelves[shelf], minute)

    def _directories(self, directory: str) -> Iterator[tuple[str, str]]:
        """Yield name and path of each directory in one; what is none is set aside."""
        if is_stray(directory):  # a link would lead to files that are not ours to move
            self._spool.set_stray_aside(directory)
        elif self._watch(directory):
            with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.name, entry.path
                    else:
                        self._spool.set_stray_aside(entry.path)

    def _watch(self, directory: str) -> bool:
        """Have what comes into a directory announced; tell whether it can be listed."""
        try:
            self._watcher.watch_entries(directory)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:
            if not is_closed(directory):
                raise
            return False
        return True


def _waiting(name: str) -> TaskName:
    """Return the parts of a scheduled file's name; one with a ready time is none of ours, all base."""
    parsed = TaskName.parse(name)
    return parsed if parsed.ready_at is None else TaskName(name)
