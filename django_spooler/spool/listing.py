"""What stands where: the files of a state in their order, listed no further than they are asked for.

Names tell queue, priority and time, so a page of 100,000 files costs the listing of one directory.
Nothing here opens a file.
"""

import math
import os
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice

from .directory import Spool
from .files import modified, names_if_open, names_in
from .names import as_text, id_time, is_moment, order
from .place import Place, parse_claimed_name, parse_level, parse_minute
from .scanned import is_bell, is_guard, scanned_files

_CLOSE = 3
"""Seconds around the making of an id in which its file is looked for first."""

_DIGITS = 10
"""Of seconds since the epoch, from 2001 to 2286: only then is their order that of their text."""

STATES = ("ready", "running", "scheduled", "failed")

OTHER = "other"
"""Stands for the files of other libraries, which uWSGI hands to those."""


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A file as its place and name tell of it."""

    state: str
    path: str
    name: str
    """As its producer named it; of a failed one its id."""
    place: Place | None
    """None for a failed one: what is beside it knows; and for one of OTHER."""

    @property
    def time(self) -> float:
        """When it became ready, is due, or was first seen (seconds since the epoch); 0 unknown."""
        if self.state == "failed":
            return id_time(self.name) or modified(self.path)
        if self.state == "scheduled":
            return modified(self.path)
        return order(self.name)[0] / 1e6


def count(spool: Spool, state: str, most: int, queue: str | None = None) -> int:
    """Count the files of a state, of one queue or all, and stop at ``most``."""
    return sum(1 for _ in islice(_names(spool, state, queue), most))


@dataclass(slots=True)
class Tally:
    """The files of one queue and state."""

    count: int = 0
    oldest: float | None = None
    """When the first became ready, is due or was first seen: seconds since the epoch, whole ones."""

    def add(self, number: int, oldest: float | None) -> None:
        """Count more files, the oldest of which is of that time."""
        self.count += number
        self.oldest = min(filter(None, (self.oldest, oldest)), default=None)


def tally(spool: Spool, state: str) -> dict[str, Tally]:
    """Count the ready, scheduled or running files by queue in one pass."""
    found: dict[str, Tally] = {}
    for queue, number, oldest in _groups(spool, state):
        found.setdefault(queue, Tally()).add(number, oldest)
    return found


def oldest_ready(spool: Spool) -> float | None:
    """Return when the first of the ready files became ready (seconds since the epoch)."""
    return min(filter(None, map(_oldest, _directories(spool, "ready", None))), default=None)


def _oldest(directory: tuple[Place, str]) -> float | None:
    names = names_if_open(directory[1])
    first = _first_second(names)
    if first is None:
        return None
    # Only those of the first second are looked at closely; the second stands in their names.
    candidates = [name for name in names if str(first) in name]
    return _first_moment(candidates) or _first_moment(names)


def _first_moment(names: list[str]) -> float | None:
    return min(filter(is_moment, (order(name)[0] / 1e6 for name in names)), default=None)


def _groups(spool: Spool, state: str) -> Iterator[tuple[str, int, float | None]]:
    """Yield queue, number and the oldest one's time of files that stand together."""
    if state == "running":
        for file in _running(spool, None):
            yield file.place.queue if file.place else "", 1, _second(file.name) or None
    else:
        for place, directory in _directories(spool, state, None):
            if names := names_if_open(directory):
                minute = _minute((place, directory)) * 60 if state == "scheduled" else 0
                yield place.queue, len(names), minute or _first_second(names)


def _first_second(names: list[str]) -> int | None:
    """Return the first second that ``order`` tells of, as fast as 100,000 names ask for."""
    try:
        first = min(name.rsplit("_", 2)[1] for name in names if ";" not in name)
        if (
            len(first) == _DIGITS
            and is_moment(int(first))
            and all(";" not in name for name in names)
        ):
            return int(first)
    except (ValueError, IndexError):
        pass
    return min(filter(is_moment, map(_second, names)), default=None)


def priorities(spool: Spool) -> set[int]:
    """Return the priorities that tasks of ours have waited with, now or before."""
    states = ("ready", "scheduled")
    return {place.priority for state in states for place, _ in _shelves(spool, state, None)}


def overdue(spool: Spool, before: float) -> dict[str, float]:
    """Return the queues with tasks that were due before this time, and since when the first is."""
    found: dict[str, float] = {}
    for directory in _directories(spool, "scheduled", None):
        due = (_minute(directory) + 1) * 60.0
        if due < before and next(_scan(directory[1]), None):
            found[directory[0].queue] = min(due, found.get(directory[0].queue, due))
    return found


def unsorted(spool: Spool, *states: str) -> Iterator[TaskFile]:
    """Yield ready or scheduled files as the directories give them, read no further than asked."""
    for state in states:
        for place, directory in _directories(spool, state, None):
            for name in _scan(directory):
                yield TaskFile(state, os.path.join(directory, name), name, place)


def files(
    spool: Spool,
    state: str,
    *,
    queue: str | None = None,
    by_time: bool = False,
    backwards: bool = False,
    since: float = 0.0,
    before: float = math.inf,
) -> Iterator[TaskFile]:
    """Yield the files of a state, of one queue or all: as they will run, failed ones as they came.

    ``by_time`` passes over priorities. A ``queue`` is not known of failed ones. Of those that became
    ready, or are due, outside these moments (seconds since the epoch) most are left out: what is
    cheaper than looking at each of them.
    """
    if state == "failed":
        for identifier in sorted(names_in(spool.path("failed")), reverse=backwards):
            yield TaskFile(state, spool.path("failed", identifier), identifier, None)
        return
    if state == OTHER:
        yield from sorted(_others(spool), key=lambda file: order(file.name), reverse=backwards)
        return
    if state == "running":
        yield from sorted(
            _running(spool, queue),
            key=lambda file: (_level(file), order(file.name)),
            reverse=backwards,
        )
        return
    for pool in _pools(spool, state, queue, by_time, backwards):
        yield from _in_order(state, pool, backwards, int(since), before)


def other(spool: Spool, name: str) -> TaskFile | None:
    """Return the file of OTHER that has this name ``as_text``, None where there is none."""
    return next((file for file in _others(spool) if as_text(file.name) == name), None)


def near(
    spool: Spool, identifiers: Collection[str], *, only_close: bool = False
) -> Iterator[TaskFile]:
    """Yield every file that has not failed, those first that were made when these ids were made.

    The id of what is no task is its file's name. ``only_close`` leaves out those of other seconds.
    """
    moments = sorted({_moment(identifier) for identifier in identifiers})
    listed = [
        (state, place, directory, _by_making(names_if_open(directory)))
        for state in ("ready", "scheduled")
        for place, directory in _directories(spool, state, None)
    ]
    distances = {second: _distance(moments, second) for *_, names in listed for second in names}
    yield from _running(spool, None)  # last listed: a claim takes a file there
    for second in sorted(distances, key=distances.__getitem__):
        if only_close and distances[second] > _CLOSE:
            return
        together = [
            TaskFile(state, os.path.join(directory, name), name, place)
            for state, place, directory, names in listed
            for name in names.get(second, ())
        ]
        yield from sorted(together, key=lambda file: _distance(moments, _made(file.name)))


def ahead(spool: Spool, file: TaskFile, paused: Callable[[str], bool], most: int) -> int:
    """Count the ready files that run before this one, and stop at ``most``."""
    assert file.place
    own = order(file.name)
    found = 0
    for place, directory in _directories(spool, "ready", None):
        if place.level > file.place.level or paused(place.queue):
            continue
        names: Iterable[str] = names_if_open(directory)
        if place.level == file.place.level:
            second = own[0] / 1e6
            names = (name for name in names if _second(name) <= second and order(name) < own)
        found += sum(1 for _ in islice(names, most - found))
    return found


def _names(spool: Spool, state: str, queue: str | None) -> Iterator[str]:
    """Yield the names of a state's files as the directories give them."""
    if state == "failed":
        return _scan(spool.path("failed"))
    if state == "running":
        return (file.name for file in _running(spool, queue))
    if state == OTHER:
        return (file.name for file in _others(spool))
    return chain.from_iterable(_scan(path) for _, path in _directories(spool, state, queue))


def _scan(directory: str) -> Iterator[str]:
    """Yield names without reading the directory further than is asked for."""
    try:
        with os.scandir(directory) as found:
            for entry in found:
                yield entry.name
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


def _running(spool: Spool, queue: str | None) -> Iterator[TaskFile]:
    for process in names_in(spool.path("running")):
        for claimed in names_if_open(spool.path("running", process)):
            if parsed := parse_claimed_name(claimed):
                place, name = parsed
                if queue in (None, place.queue):
                    yield TaskFile("running", spool.path("running", process, claimed), name, place)


def _others(spool: Spool) -> Iterator[TaskFile]:
    for path in scanned_files(spool):
        name = os.path.basename(path)
        if not (is_bell(name) or is_guard(name)):
            yield TaskFile(OTHER, path, name, None)


def _level(file: TaskFile) -> int:
    return file.place.level if file.place else 0


Directories = Iterable[tuple[Place, str]]


def _directories(spool: Spool, state: str, queue: str | None) -> Directories:
    """Yield the directories that hold a state's files."""
    for place, shelf in _shelves(spool, state, queue):
        if state == "ready":
            yield place, shelf
        else:
            for minute in names_if_open(shelf):
                yield place, os.path.join(shelf, minute)


def _shelves(spool: Spool, state: str, queue: str | None) -> Directories:
    for name in names_in(spool.path(state)) if queue is None else [queue]:
        for level_name in names_if_open(spool.path(state, name)):
            if (level := parse_level(level_name)) is not None:
                yield Place(name, level), spool.path(state, name, level_name)


def _pools(
    spool: Spool, state: str, queue: str | None, by_time: bool, backwards: bool
) -> Iterator[Directories]:
    """Yield the directories in the order of their files; those of a pool have to be merged."""
    directories = list(_directories(spool, state, queue))
    if state == "ready" and by_time:
        yield directories
        return
    key = _minute if state == "scheduled" else _level_of
    directories.sort(key=key, reverse=backwards)
    for _, pool in groupby(directories, key=key):
        yield list(pool)


def _level_of(directory: tuple[Place, str]) -> int:
    return directory[0].level


def _minute(directory: tuple[Place, str]) -> int:
    return parse_minute(os.path.basename(directory[1])) or 0


def _in_order(
    state: str, pool: Directories, backwards: bool, since: int, before: float
) -> Iterator[TaskFile]:
    """Yield the files of a pool; only those of the seconds that are asked for are sorted exactly."""
    if state == "scheduled":
        due = [
            TaskFile(state, os.path.join(directory, name), name, place)
            for place, directory in pool
            if _minute((place, directory)) * 60 <= before
            for name in names_if_open(directory)
        ]
        yield from sorted(due, key=lambda file: (file.time, order(file.name)), reverse=backwards)
        return
    listed = [(place, directory, _by_second(names_if_open(directory))) for place, directory in pool]
    seconds = {second for *_, names in listed for second in names if since <= second <= before}
    for second in sorted(seconds, reverse=backwards):
        together = [
            TaskFile(state, os.path.join(directory, name), name, place)
            for place, directory, names in listed
            for name in names.get(second, ())
        ]
        yield from sorted(together, key=lambda file: order(file.name), reverse=backwards)


def _by_second(names: list[str]) -> dict[int, list[str]]:
    """Return names by their ``_second``, as fast as 100,000 ask for."""
    found = _by_making([name for name in names if ";" not in name])
    for name in names:
        if ";" in name:
            found[_second(name)].append(name)
    return found


def _by_making(names: list[str]) -> defaultdict[int, list[str]]:
    """Return names by the second in which their files were first made: these are few."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[name.rpartition("_")[0].rpartition("_")[2]].append(name)
    found: defaultdict[int, list[str]] = defaultdict(list)
    for second, those in alike.items():
        found[_number(second)] += those
    return found


def _moment(identifier: str) -> float:
    return id_time(identifier) or order(identifier)[0] / 1e6


def _made(name: str) -> float:
    return order(name.partition(";")[0])[0] / 1e6


def _distance(moments: list[float], time: float) -> float:
    """Return the seconds between a time and the nearest of sorted moments."""
    after = bisect(moments, time)
    return min(abs(time - moment) for moment in moments[max(0, after - 1) : after + 1])


def _second(name: str) -> int:
    """Return the second of ``order(name)``, at a quarter of its price."""
    if ";" in name:
        return order(name)[0] // 1_000_000
    return _number(name.rpartition("_")[0].rpartition("_")[2])


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
