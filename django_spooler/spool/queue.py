"""What runs next: the ready files by priority, then by the time they became ready.

Each level (one priority, all queues) keeps a sorted snapshot of names and takes from it. A newcomer
becomes ready after everything in the snapshot, so it can wait for the next one: order needs neither
a heap nor a rescan per task. A level is listed again only when its snapshot is used up and the
watcher has marked one of its directories.
"""

import errno
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .directory import ALL_QUEUES, Spool
from .files import is_closed, is_stray, make_directories, names_in
from .names import TaskName, order
from .place import Place, claimed_name, has_room, parse_level
from .watch import RELIST, Watcher

logger = logging.getLogger("django_spooler")

SNAPSHOT_SIZE = 100_000
"""Names kept per level; of more files the first are taken, then the rest."""

_Entry = tuple[int, int, str, str]
"""Where a file stands in its level's order, its directory and its name."""

_FILE_AT_FAULT = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)

_POSTPONED = 0.1
"""Seconds a file rests that was still being written when it was claimed."""


@dataclass(slots=True)
class Claimed:
    """A task's file in the claiming process's running directory."""

    path: str
    name: str
    """Its name before the claim."""
    place: Place

    @property
    def task_name(self) -> TaskName:
        """The name, taken apart."""
        return TaskName.parse(self.name)

    @property
    def waited(self) -> float:
        """The seconds since it became ready, 0 where its name does not tell."""
        ready_at = order(self.name)[0]
        return max(0.0, time.time() - ready_at / 1e6) if ready_at else 0.0


@dataclass(slots=True)
class _Level:
    number: int
    directories: dict[str, Place] = field(default_factory=dict)
    """Path to place."""
    snapshot: list[tuple[str, str]] = field(default_factory=list)
    """(directory, name), the next one last."""
    stale: bool = True


class ReadyQueue:
    """Claims ready files for one process."""

    def __init__(
        self,
        spool: Spool,
        watcher: Watcher,
        running: str,
        queues: list[str] | None = None,
        spared: str | None = None,
    ) -> None:
        """``running`` is where claimed files go; ``queues`` are those to serve, None for all.

        ``spared`` is one to leave to others.
        """
        self._spool = spool
        self._watcher = watcher
        self._running = running
        self._queues = queues
        self._spared = {spared}
        self._levels: list[_Level] = []
        self._level_of: dict[str, _Level] = {}
        self._resting: dict[str, float] = {}
        self._tree_is_stale = True
        self._relist_at = 0.0

    def note_changes(self, changed: set[str]) -> None:
        """Take note of the directories the watcher found changed."""
        for path in changed:
            if level := self._level_of.get(path):
                level.stale = True
                if not os.path.isdir(path):
                    self._tree_is_stale = True
            elif path.startswith((self._spool.path("ready"), self._spool.path("paused"))):
                self._tree_is_stale = True

    def relist(self) -> None:
        """List everything again at the next claim: what was taken from a snapshot may be back."""
        self._tree_is_stale = True
        self._levels = []
        self._level_of = {}

    def claim(self) -> Claimed | None:
        """Move the next file into the running directory; None where nothing is ready."""
        self._relist_now_and_then()
        if self._tree_is_stale:
            self._find_levels()
        for level in self._levels:
            if claimed := self._claim_from(level):
                return claimed
        return None

    def put_back(self, claimed: Claimed) -> None:
        """Return a file that is still being written; it is not offered again for a moment."""
        self._resting[claimed.name] = time.monotonic() + _POSTPONED
        self._spool.make_ready(claimed.path, claimed.task_name, claimed.place)

    def rests(self) -> float | None:
        """Return the seconds until a file that was put back may be claimed, None without any."""
        if not self._resting:
            return None
        return max(0.0, min(self._resting.values()) - time.monotonic())

    def _claim_from(self, level: _Level) -> Claimed | None:
        # What a snapshot still names may be gone, and other files be there since it was taken.
        for _ in range(2):
            if not level.snapshot and level.stale:
                self._take_snapshot(level)
            while level.snapshot:
                directory, name = level.snapshot.pop()
                if claimed := self._claim(directory, name, level.directories[directory]):
                    return claimed
        return None

    def _claim(self, directory: str, name: str, place: Place) -> Claimed | None:
        path, claimed = f"{directory}/{name}", claimed_name(place, name)
        try:
            if not has_room(claimed):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            os.rename(path, target := f"{self._running}/{claimed}")
        except OSError as error:
            self._refuse(error, path, place)
            return None
        return Claimed(target, name, place)

    def _refuse(self, error: OSError, path: str, place: Place) -> None:
        """Get what cannot be claimed out of the way; raise what is not the file's own fault."""
        if isinstance(error, FileNotFoundError):  # another process has it
            os.stat(self._running)
        elif error.errno in _FILE_AT_FAULT:
            finding = f"it could not be claimed: {error.strerror}"
            try:
                self._spool.set_aside(path, finding, place=place)
                self._spool.announce(os.path.basename(path), finding)
            except PermissionError:  # it stays, and is tried again at the next listing
                logger.error("%r stays where it is: %s", path, finding)
            except FileNotFoundError:
                pass
        else:
            raise error

    def _take_snapshot(self, level: _Level) -> None:
        """List a level; what came in meanwhile is left to the next listing.

        A directory may show a file that comes in while it is read, and not the one before.
        """
        level.stale = False
        directories = self._watch(level)
        begun = _now()
        entries = _first(
            SNAPSHOT_SIZE,
            ((*order(name), path, name) for path, name in self._files(level, directories)),
        )
        if len(entries) == SNAPSHOT_SIZE:
            level.stale = True
        # What a name dates after now was made by another clock.
        meanwhile = slice(_count_until(begun, entries), _count_until(_now(), entries))
        if entries[meanwhile]:
            level.stale = True
            del entries[meanwhile]
        level.snapshot = [(path, name) for _, _, path, name in reversed(entries)]

    def _watch(self, level: _Level) -> list[str]:
        """Watch the level's directories; return those that are there."""
        found = []
        for path in level.directories:
            try:
                self._watcher.watch_files(path)
                found.append(path)
            except (FileNotFoundError, NotADirectoryError):
                self._tree_is_stale = True
            except PermissionError:
                if not is_closed(path):
                    raise
        return found

    def _files(self, level: _Level, directories: list[str]) -> Iterator[tuple[str, str]]:
        now = time.monotonic()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        for path in directories:
            try:
                with os.scandir(path) as entries:  # a list of a million names is 100 MB
                    for entry in entries:
                        if entry.name in self._resting:
                            level.stale = True
                        else:
                            yield path, entry.name
            except (FileNotFoundError, NotADirectoryError):
                self._tree_is_stale = True

    def _find_levels(self) -> None:
        self._tree_is_stale = False
        found: dict[int, _Level] = {}
        ready = self._spool.path("ready")
        for directory in (ready, self._spool.path("paused")):
            make_directories(directory)
            self._watcher.watch_entries(directory)
        for queue in self._served_queues(names_in(ready)):
            for path, number in self._level_directories(os.path.join(ready, queue)):
                level = found.setdefault(number, _Level(number))
                level.directories[path] = Place(queue, number)
        self._adopt(found)

    def _served_queues(self, names: list[str]) -> list[str]:
        paused = self._spool.paused()
        if ALL_QUEUES in paused:
            return []
        return [
            name
            for name in names
            if name not in paused | self._spared and (self._queues is None or name in self._queues)
        ]

    def _level_directories(self, queue_directory: str) -> Iterator[tuple[str, int]]:
        if is_stray(queue_directory):  # a link would lead to what is not ours to move
            self._spool.set_stray_aside(queue_directory)
            return
        try:
            self._watcher.watch_entries(queue_directory)
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            if not is_closed(queue_directory):
                raise
            return
        for name in names_in(queue_directory):
            path, number = os.path.join(queue_directory, name), parse_level(name)
            if number is None or is_stray(path):
                self._spool.set_stray_aside(path)
            else:
                yield path, number

    def _adopt(self, found: dict[int, _Level]) -> None:
        """Take the new levels; one whose directories are the same keeps its snapshot."""
        known = {level.number: level for level in self._levels}
        self._levels = [
            known[number]
            if number in known and known[number].directories == level.directories
            else level
            for number, level in sorted(found.items())
        ]
        self._level_of = {path: level for level in self._levels for path in level.directories}

    def _relist_now_and_then(self) -> None:
        if time.monotonic() >= self._relist_at:
            self._relist_at = time.monotonic() + RELIST
            self._tree_is_stale = True
            for level in self._levels:
                level.stale = True


def _now() -> int:
    """Return the time as names tell it: microseconds since the epoch."""
    return time.time_ns() // 1000


def _count_until(moment: int, entries: list[_Entry]) -> int:
    """Return how many of the sorted entries became ready up to this moment."""
    return bisect_right(entries, moment, key=lambda entry: entry[0])


def _first(count: int, entries: Iterable[_Entry]) -> list[_Entry]:
    """Return the first ``count`` entries in their order; of many more only few are held meanwhile."""
    found: list[_Entry] = []
    last: _Entry | None = None
    for entry in entries:
        if last is None or entry < last:
            found.append(entry)
            if len(found) >= count + count // 2:
                found.sort()
                del found[count:]
                last = found[-1]
    found.sort()
    return found[:count]
