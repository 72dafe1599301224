"""Where a task belongs in the spool, as directories and names tell it.

What is not formed as these functions form it was not put there by us.
"""

import os
from dataclasses import dataclass, replace
from functools import lru_cache

from .names import MOST, TaskName

TREE = "django"
LEVELS = range(201)
_MINUTE_DIGITS = 12
DOTS = ("", ".", "..")
NAME_MAX = 255
"""Bytes a file's name has at most, on Linux's file systems."""

_LATEST = 10**16
"""A ready time, in microseconds, of as many digits as any will have."""

_ROOMY = NAME_MAX - len(str(TaskName("", MOST, MOST, True, _LATEST)))
"""Bytes of a name that has room for sure."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task belongs in the spool: its queue, and its level (100 - priority)."""

    queue: str
    level: int

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, queue: str, priority: int) -> "Place":
        """Return the place of a task of this queue and priority."""
        return cls(queue, 100 - priority)

    @property
    def priority(self) -> int:
        """The priority, -100 to 100."""
        return 100 - self.level

    @property
    def ready(self) -> str:
        """The path of its ready directory below the spool directory."""
        return f"{TREE}/ready/{self.queue}/{self.level}"

    def scheduled(self, due: float) -> str:
        """Return the path of the directory for a task due then (seconds since the epoch)."""
        return f"{TREE}/scheduled/{self.queue}/{self.level}/{int(due) // 60}"


def is_number(name: object) -> bool:
    """Tell whether a name consists of digits only, as those of priority directories do."""
    return isinstance(name, str) and name.isascii() and name.isdigit()


def is_queue_name(name: object) -> bool:
    """Tell whether this can be the name of a queue's directory, and leads nowhere else."""
    return isinstance(name, str) and is_file_name(name)


def is_file_name(name: str) -> bool:
    """Tell whether a file can have this name, and it leads nowhere else."""
    try:
        return (
            name not in DOTS and not {"/", "\0"} & set(name) and len(os.fsencode(name)) <= NAME_MAX
        )
    except UnicodeEncodeError:
        return False


def parse_level(name: str) -> int | None:
    """Return the level a directory's name stands for, or None."""
    return int(name) if is_number(name) and len(name) <= 3 and int(name) in LEVELS else None


def parse_minute(name: str) -> int | None:
    """Return the minute (since the epoch) a directory's name stands for, or None."""
    return int(name) if is_number(name) and len(name) <= _MINUTE_DIGITS else None


def claimed_name(place: Place, name: str) -> str:
    """Return a file's name in a running directory; it keeps where the file stood."""
    return f"{place.level}:{place.queue}:{name}"


def has_room(claimed: str) -> bool:
    """Tell whether a name in a running directory can take whatever is noted behind it.

    Those that uWSGI and we make always can: 131 bytes at most, with a queue's name of 64.
    """
    if len(claimed) <= _ROOMY and claimed.isascii():
        return True
    longest = TaskName(TaskName.parse(claimed).base, MOST, MOST, True, _LATEST)
    return len(os.fsencode(str(longest))) <= NAME_MAX


def fitting(name: TaskName) -> str:
    """Return a file's name for a task's; one that is too long to be claimed goes without a time."""
    whole = str(name)
    return whole if len(os.fsencode(whole)) <= NAME_MAX else str(replace(name, ready_at=None))


def parse_claimed_name(name: str) -> tuple[Place, str] | None:
    """Return what ``claimed_name`` put together, None for another form."""
    level_text, _, rest = name.partition(":")
    queue, _, original = rest.partition(":")
    level = parse_level(level_text)
    if level is None or not is_queue_name(queue) or not original:
        return None
    return Place(queue, level), original
