"""A page of tasks that match: read no further than it needs, and honest about what was not read.

Queue and age of a waiting task are told by its place and name. Whatever else is asked for stands in
the files, which are read for a bounded time.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from .overview import Entry, entry_of, locate
from .spool.directory import Spool
from .spool.listing import OTHER, STATES, TaskFile, count, files
from .spool.names import id_time, order
from .spool.place import is_number

COUNTED = 10_000
"""Files of a state that are counted one by one; more are "10,000+"."""

READ_SECONDS = 0.08
"""Seconds a search reads files for one page."""

FIND_SECONDS = 0.03
"""Seconds a search for an id looks among the files of the time when that was made."""


def capped(number: int) -> str:
    """Return a number of files that were counted up to COUNTED, as people read it."""
    return f"{number:,}+" if number >= COUNTED else f"{number:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for; None and "" ask for nothing."""

    state: str | None = None
    queue: str | None = None
    task: str = ""
    """A dotted path."""
    error: str = ""
    """The class of the error a failed one ended with."""
    text: str = ""
    """Each word stands in the id, the task, its arguments, its queue or the reason."""
    newer_than: float | None = None
    older_than: float | None = None
    """Seconds since the task became ready, or failed."""
    by_time: bool = False
    backwards: bool = False
    among: tuple[str, ...] = ("running", "ready", "scheduled", "failed")
    """The states that are looked at, where ``state`` names none."""

    @property
    def states(self) -> tuple[str, ...]:
        """The states it asks for, those that run first."""
        if self.state == OTHER:
            return (OTHER,)
        return tuple(state for state in self.among if self.state in (None, state))

    @property
    def needs_reading(self) -> bool:
        """Whether the files have to be opened to know if they match."""
        return bool(
            self.task or self.error or self.text or (self.queue and "failed" in self.states)
        )

    def may_match(self, file: TaskFile, now: float) -> bool:
        """Tell whether a file can match by its name."""
        if self.newer_than is None and self.older_than is None:
            return True
        age = now - file.time
        return (self.newer_than is None or age <= self.newer_than) and (
            self.older_than is None or age > self.older_than
        )

    def matches(self, entry: Entry) -> bool:
        """Tell whether a task that was read matches."""
        if self.queue not in (None, entry.queue) or self.task not in ("", entry.task):
            return False
        if self.error and self.error != error_class(entry):
            return False
        told = " ".join(map(str, _told(entry))).casefold()
        return all(word in told for word in self.text.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the tasks that match."""

    entries: list[Entry]
    total: int
    """How many match, as far as was counted or read."""
    is_exact: bool
    """Whether that is all."""
    read: int | None
    """Files a search has read before it stopped, None where it went through all."""


def browse(
    spools: list[Spool], query: Query, *, number: int, size: int, most: int | None = None
) -> Page:
    """Return one page of the tasks that match, the first is number 1.

    What need not be read is counted up to ``most``, or COUNTED.
    """
    most = COUNTED if most is None else most
    if query.needs_reading:
        return _search(spools, query, number, size)
    found = _files(spools, query)
    before = sum(1 for _ in islice(found, (number - 1) * size))
    # Those a spooler took since they were listed leave their place to the next.
    existing = (entry for entry in (entry_of(*place) for place in found) if entry)
    entries = list(islice(existing, size))
    if query.newer_than is query.older_than is None:
        counts = (
            count(spool, state, most, query.queue) for spool in spools for state in query.states
        )
        total = min(most, sum(counts))
    else:
        before += len(entries)
        total = before + sum(1 for _ in islice(found, max(0, most - before)))
    return Page(entries=entries, total=total, is_exact=total < most, read=None)


Target = tuple[str, Spool, TaskFile]
"""A task's id, and where it stands."""


@dataclass
class Matching:
    """Every task that matches, the oldest first, for what is done to them in several goes."""

    spools: list[Spool]
    query: Query
    until: float | None = None
    """What was enqueued, or failed, later is left out (seconds since the epoch)."""

    wanted: Callable[[TaskFile], bool] = lambda file: True
    """What is not is not read."""

    position: str = ""
    """How far it has come; one that is given this goes on from there."""

    def __iter__(self) -> Iterator[Target | None]:
        """Yield each, and None for a file that does not match, so that one can stop there too."""
        start, last = _parsed(self.position)
        for number, state in enumerate(self.query.states):
            for spool_number, spool in enumerate(self.spools):
                for file in files(spool, state, queue=self.query.queue, by_time=True):
                    place = (number, spool_number, _key(file))
                    if place < start or file.name == last or not self.wanted(file):
                        continue
                    self.position = ":".join(map(str, (*place, file.name)))
                    yield self._target(spool, file)

    def _target(self, spool: Spool, file: TaskFile) -> Target | None:
        if not self.query.may_match(file, time.time()):
            return None
        entry = entry_of(spool, file)
        if entry is None or not self.query.matches(entry) or _is_later(entry, self.until):
            return None
        return entry.id, spool, file


def _key(file: TaskFile) -> str:
    """Return what the files of a state are sorted by when they are listed by time."""
    if file.state == "failed":
        return file.name
    ready_at, counter = order(file.name)
    return f"{file.time:020.6f} {ready_at:020d} {counter:020d}"


def _parsed(position: str) -> tuple[tuple[int, int, str], str]:
    """Return where the last file stood and its name; what is no position is the beginning."""
    number, spool_number, key, name = [*position.split(":", 3), "", "", ""][:4]
    if not (is_number(number) and is_number(spool_number) and len(number + spool_number) < 10):
        return (0, 0, ""), ""
    return (int(number), int(spool_number), key), name


def _is_later(entry: Entry, until: float | None) -> bool:
    moment = entry.failed_at or entry.enqueued_at
    return until is not None and moment is not None and moment.timestamp() > until


def error_class(entry: Entry) -> str:
    """Return the class of the error a failed task ended with, or the reason's first words."""
    reason = entry.reason or ""
    if entry.attempts:
        return entry.attempts[-1].exception.rpartition(".")[2]
    first = reason.partition(":")[0].partition(" (")[0]
    return first[:100]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Failed tasks of one task and one class of error."""

    task: str | None
    error: str
    number: int
    last: Entry


def failures(spools: list[Spool]) -> tuple[list[Group], int | None]:
    """Return the failed tasks in groups, the largest first, and how many were read if not all."""
    numbers: Counter[tuple[str | None, str]] = Counter()
    last: dict[tuple[str | None, str], Entry] = {}
    reading = _Reading(spools, Query(state="failed"))
    for entry in reading:
        key = entry.task, error_class(entry)
        numbers[key] += 1
        last.setdefault(key, entry)  # the newest are read first
    groups = [
        Group(task=key[0], error=key[1], number=number, last=last[key])
        for key, number in numbers.most_common()
    ]
    return groups, reading.stopped_after


def _search(spools: list[Spool], query: Query, number: int, size: int) -> Page:
    if entry := _named(spools, query):
        return Page(entries=[entry], total=1, is_exact=False, read=1)
    found: list[Entry] = []
    total = 0
    reading = _Reading(spools, query)
    for entry in filter(query.matches, reading):
        if (number - 1) * size <= total < number * size:
            found.append(entry)
        total += 1
    stopped_after = reading.stopped_after
    return Page(entries=found, total=total, is_exact=stopped_after is None, read=stopped_after)


def _named(spools: list[Spool], query: Query) -> Entry | None:
    """Return the task that matches where all that is looked for is its id."""
    identifier = query.text.strip()
    if id_time(identifier) is None:
        return None
    for spool in spools:
        for _, file in locate(spool, [identifier], FIND_SECONDS, only_close=True):
            if file.state not in query.states or not query.may_match(file, time.time()):
                continue
            entry = entry_of(spool, file)
            if entry and query.matches(entry):
                return entry
    return None


@dataclass
class _Reading:
    """The tasks whose files may match, read for READ_SECONDS; listing them takes nothing of these."""

    spools: list[Spool]
    query: Query
    stopped_after: int | None = None
    """Files that were read before the time was up, None where all were."""

    def __iter__(self) -> Iterator[Entry]:
        spent = 0.0
        for read, (spool, file) in enumerate(_files(self.spools, self.query)):
            if spent > READ_SECONDS:
                self.stopped_after = read
                return
            begun = time.monotonic()
            if entry := entry_of(spool, file):
                yield entry
            spent += time.monotonic() - begun


def _files(spools: list[Spool], query: Query) -> Iterator[tuple[Spool, TaskFile]]:
    now = time.time()
    for state in query.states:
        for spool in spools:
            for file in files(
                spool,
                state,
                queue=query.queue,
                by_time=query.by_time,
                # What failed last is what is looked at first.
                backwards=query.backwards != (state == "failed"),
                since=0.0 if query.newer_than is None else now - query.newer_than,
                before=math.inf if query.older_than is None else now - query.older_than,
            ):
                if query.may_match(file, now):
                    yield spool, file


def _told(entry: Entry) -> Iterator[object]:
    yield from (entry.id, entry.task, entry.queue, entry.reason, entry.args, entry.kwargs)
    yield entry.library


def tabs(spools: list[Spool]) -> dict[str, int]:
    """Return how many tasks stand in each state, COUNTED for as many and more."""
    return {
        state: min(COUNTED, sum(count(spool, state, COUNTED) for spool in spools))
        for state in (*STATES, OTHER)
    }
