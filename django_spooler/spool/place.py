"""Where a task belongs in the spool, as directories and names tell it.

What is not formed as these functions form it was not put there by us.
"""

import os
import time
from dataclasses import dataclass, replace

from .names import TaskName, new_base

TREE = "django"
LEVELS = range(201)
DOTS = ("", ".", "..")
NAME_MAX = 255
"""Bytes a file's name has at most, on Linux's file systems."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task belongs in the spool: its queue, and its level (100 - priority)."""

    queue: str
    level: int

    @classmethod
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
    try:
        return (
            isinstance(name, str)
            and name not in DOTS
            and not {"/", "\0"} & set(name)
            and len(os.fsencode(name)) <= NAME_MAX
        )
    except UnicodeEncodeError:
        return False


def parse_level(name: str) -> int | None:
    """Return the level a directory's name stands for, or None."""
    return (
        int(name)
        if name.isascii() and name.isdigit() and len(name) <= 3 and int(name) in LEVELS
        else None
    )


def claimed_name(place: Place, name: str) -> str:
    """Return a file's name in a running directory; it keeps where the file stood."""
    return f"{place.level}:{place.queue}:{name}"


def claimable(name: str, place: Place) -> TaskName:
    """Return a task's name from a file's: another one, where that leaves no room to claim it."""
    longest = claimed_name(place, str(TaskName(name, attempts=1, cuts=1, ready_at=time.time_ns())))
    return TaskName(name if len(os.fsencode(longest)) <= NAME_MAX else new_base())


def fitting(name: TaskName) -> str:
    """Return a name that a file can have: a foreign one may leave no room for what we add."""
    for fitting in (name, replace(name, ready_at=None)):
        if len(os.fsencode(str(fitting))) <= NAME_MAX:
            return str(fitting)
    return str(replace(name, base=new_base()))


def parse_claimed_name(name: str) -> tuple[Place, str] | None:
    """Return what ``claimed_name`` put together, None for another form."""
    level_text, _, rest = name.partition(":")
    queue, _, original = rest.partition(":")
    level = parse_level(level_text)
    if level is None or not is_queue_name(queue) or not original:
        return None
    return Place(queue, level), original
