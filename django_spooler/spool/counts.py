"""How many tasks ran, how they ended and how long they took: counted for charts and for Prometheus.

Each process that runs tasks counts in its memory and writes a file of its own, at most once a second
and when it has nothing to do. A new process takes over the file of a dead one and counts on: there
are never more files than there were processes at a time, and a sum over them never falls. What a
process counted in its last second is lost if it is killed.

::

    <directory>/django/counts/<process>
    {"v":1,"tasks":{"shop.tasks.send_invoice":{"started":5,"ended":[4,0,1,0],
     "waited":[0,5,...],"waited_sum":0.2,"ran":[0,0,4,...],"ran_sum":0.4}},
     "slots":{"60":{"29400000":[5,4,0,1,0,0.2]},"900":{...}}}
"""

import contextlib
import json
import logging
import math
import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .directory import Spool
from .files import is_gone, make_directories, names_if_open, open_without_waiting, write_whole
from .process import lives
from .unfinished import CARD_NAME, begins_with

logger = logging.getLogger("django_spooler")

ENDS = ("succeeded", "failed", "retried", "discarded")
"""How a try ends; a task that is retried ends more than once."""

NO_TASK = ""
"""What a file is counted under that was set aside unread, or names no task of the site."""

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds up to which a bucket of the histograms goes; one more is without a bound."""

MINUTE = 60
QUARTER = 900
_KEPT = {MINUTE: 61, QUARTER: 97}
"""Seconds of a slot, and how many of them are kept: an hour and a day, and the one that goes on."""

_VERSION = 1
_SAVE_PAUSE = 1.0
_LOOKS = 100
"""How often a reader looks again because a file was just taken over."""

_SIZE_MAX = 16 << 20
"""Bytes of a file that are read; ours has some thousand for each task."""

_FORM = re.compile(rf"\.?{CARD_NAME}")
"""Of a file's name, with a dot while it is written."""

_SLOT_SIZE = 1 + len(ENDS) + 1
"""Started, each of the ENDS, and the seconds the started have waited."""


@dataclass(slots=True)
class TaskCounts:
    """What is counted of one task; times are seconds."""

    started: int = 0
    ended: list[int] = field(default_factory=lambda: [0] * len(ENDS))
    waited: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    waited_sum: float = 0.0
    ran: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    ran_sum: float = 0.0

    def add(self, other: "TaskCounts") -> None:
        """Add what another process counted."""
        self.started += other.started
        self.ended = _sums(self.ended, other.ended)
        self.waited = _sums(self.waited, other.waited)
        self.waited_sum += other.waited_sum
        self.ran = _sums(self.ran, other.ran)
        self.ran_sum += other.ran_sum

    @property
    def is_sound(self) -> bool:
        """Whether each field is what it should be; anyone may have written the file."""
        buckets = len(BOUNDS) + 1
        return (
            _are_counts([self.started, self.waited_sum, self.ran_sum], 3)
            and _are_counts(self.ended, len(ENDS))
            and _are_counts(self.waited, buckets)
            and _are_counts(self.ran, buckets)
        )


Slots = dict[int, dict[int, list[float]]]
"""Seconds of a slot -> its number since the epoch -> what was counted in it."""


@dataclass(slots=True)
class Counted:
    """What was counted in one spool, or by one process."""

    tasks: dict[str, TaskCounts] = field(default_factory=dict)
    slots: Slots = field(default_factory=lambda: {MINUTE: {}, QUARTER: {}})

    def add(self, other: "Counted") -> None:
        """Add what another process counted."""
        for name, counts in other.tasks.items():
            self.tasks.setdefault(name, TaskCounts()).add(counts)
        for length, slots in other.slots.items():
            for number, slot in slots.items():
                known = self.slots[length].get(number)
                self.slots[length][number] = _sums(known, slot) if known else slot


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in one slot of a chart."""

    at: float
    """When it begins, in seconds since the epoch."""

    started: int
    succeeded: int
    failed: int
    retried: int
    discarded: int
    waited: float | None
    """Seconds that a task that started then had been ready, on average; None where none started."""


class Counts:
    """Counts for one process."""

    def __init__(self, spool: Spool, name: str) -> None:
        """``name`` is that of the process's card."""
        self._path = spool.path("counts", name)
        self._beside = spool.path("counts", f".{name}")
        self._counted = _take_over(spool, self._path) or Counted()
        self._open: list[list[float]] = []
        self._open_until = 0.0
        self._changed = False
        self._save_at = 0.0
        self._is_refused = False

    def start(self, task: str, waited: float) -> None:
        """Count a try that starts, of a task that was ready for ``waited`` seconds."""
        counts = self._of(task)
        counts.started += 1
        counts.waited[bisect_left(BOUNDS, waited)] += 1
        counts.waited_sum += waited
        now = time.time()
        for slot in self._slots(now):
            slot[0] += 1
            slot[-1] += waited
        self.save(now)  # the task may take long

    def end(self, task: str, how: str, ran: float | None = None) -> None:
        """Count a try that ended in one of the ENDS, after ``ran`` seconds if that is known."""
        counts = self._of(task)
        number = ENDS.index(how)
        counts.ended[number] += 1
        if ran is not None:
            counts.ran[bisect_left(BOUNDS, ran)] += 1
            counts.ran_sum += ran
        for slot in self._slots(time.time()):
            slot[1 + number] += 1

    def save(self, now: float | None = None) -> None:
        """Write what is counted, if a second has passed since it was last written."""
        now = time.time() if now is None else now
        if self._changed and not self._save_at - _SAVE_PAUSE <= now < self._save_at:
            self.close()
            self._save_at = now + _SAVE_PAUSE

    def close(self) -> None:
        """Write what is counted; where the directory refuses it, it is told once."""
        if not self._changed:
            return
        try:
            self._write()
            self._changed = self._is_refused = False
        except OSError as error:
            if not self._is_refused:
                logger.warning("The counts cannot be kept for now: %s", error)
            self._is_refused = True

    def _of(self, task: str) -> TaskCounts:
        self._changed = True
        counts = self._counted.tasks.get(task)
        if counts is None:
            counts = self._counted.tasks[task] = TaskCounts()
        return counts

    def _slots(self, now: float) -> list[list[float]]:
        """Return the slots that go on."""
        if not self._open_until - MINUTE <= now < self._open_until:
            self._open = []
            for length, slots in self._counted.slots.items():
                number = int(now) // length
                self._open.append(slots.setdefault(number, [0.0] * _SLOT_SIZE))
                for other in [*slots]:
                    if not number - _KEPT[length] < other <= number:
                        del slots[other]
            self._open_until = (int(now) // MINUTE + 1) * MINUTE
        return self._open

    def _write(self) -> None:
        content = {
            "v": _VERSION,
            "tasks": {name: _as_json(counts) for name, counts in self._counted.tasks.items()},
            "slots": self._counted.slots,
        }
        make_directories(os.path.dirname(self._path))
        text = json.dumps(content, separators=(",", ":"))  # dump takes ten times as long
        write_whole(self._path, text.encode(), beside=self._beside)


def counted(spools: Iterable[Spool]) -> Counted:
    """Return what all processes of the spools have counted; what cannot be read is passed over."""
    total = Counted()
    for spool in spools:
        for found in _all_of(spool):
            total.add(found)
    return total


def _all_of(spool: Spool) -> list[Counted]:
    """Look again where a file was gone: one that another process has just taken over counts too."""
    for _ in range(_LOOKS):
        names = names_if_open(spool.path("counts"))
        paths = [spool.path("counts", name) for name in names if not name.startswith(".")]
        found = [_read(path) for path in paths]
        if not any(is_gone(path) for path in paths):
            break
    return [counts for counts in found if counts]


def points(spools: Iterable[Spool], length: int, now: float | None = None) -> list[Point]:
    """Return a chart's points, oldest first: ``length`` is MINUTE for the last hour, QUARTER for
    the last day. The last point is the slot that goes on.
    """
    slots = counted(spools).slots[length]
    last = int(time.time() if now is None else now) // length
    return [
        _point(number * length, slots.get(number))
        for number in range(last - _KEPT[length] + 1, last + 1)
    ]


def _point(at: float, slot: list[float] | None) -> Point:
    started, *ended, waited = slot or [0.0] * _SLOT_SIZE
    succeeded, failed, retried, discarded = map(int, ended)
    return Point(
        at=at,
        started=int(started),
        succeeded=succeeded,
        failed=failed,
        retried=retried,
        discarded=discarded,
        waited=waited / started if started else None,
    )


def is_counts(path: str) -> bool:
    """Tell whether a file is one of these. Raise OSError where that is not known."""
    return bool(_FORM.fullmatch(os.path.basename(path))) and begins_with(path, b'{"v":')


def _take_over(spool: Spool, path: str) -> Counted | None:
    """Make the file of a dead process ours and return what it has counted, None without any."""
    for name in names_if_open(spool.path("counts")):
        # Asked after the look above: before it, who came since would be taken for dead, and count twice.
        if not lives(spool, name.removeprefix(".")):
            left = spool.path("counts", name)
            with contextlib.suppress(OSError):
                if not is_counts(left):
                    continue
                if name.startswith("."):
                    os.unlink(left)
                else:
                    os.rename(left, path)
                    return _read(path)
    return None


def _read(path: str) -> Counted | None:
    try:
        with open(path, encoding="utf-8", opener=open_without_waiting) as file:
            fields = json.loads(file.read(_SIZE_MAX))
        tasks = {name: TaskCounts(**counts) for name, counts in fields["tasks"].items()}
        slots = {
            length: {int(number): slot for number, slot in fields["slots"][str(length)].items()}
            for length in _KEPT
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    sound = all(counts.is_sound for counts in tasks.values()) and all(
        _are_counts(slot, _SLOT_SIZE) for kind in slots.values() for slot in kind.values()
    )
    return Counted(tasks, slots) if sound and fields.get("v") == _VERSION else None


def _as_json(counts: TaskCounts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in TaskCounts.__slots__}


def _are_counts(values: object, number: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == number
        and all(type(value) in (int, float) and 0 <= value < math.inf for value in values)
    )


def _sums(first: list[Any], second: list[Any]) -> list[Any]:
    return [one + other for one, other in zip(first, second, strict=True)]
