"""Why a file stands in ``failed``: the note beside it."""

import json
import os
from dataclasses import dataclass
from types import NoneType

from .files import modified, open_without_waiting
from .place import LEVELS, Place, is_number, is_queue_name

WHY = ";why"
"""The note's name."""

LOST = "the reason could not be kept"
"""What is told where a full disk took no note, or somebody spoilt it."""

_LATEST = 1e11
"""Seconds since the epoch that no time of ours comes near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a file stands in ``failed``."""

    reason: str
    at: float
    task: str | None = None
    traceback: str = ""
    queue: str | None = None
    level: int | None = None
    numbered: str | None = None
    """The directory of another library's priority it stood in, as in "5"."""

    @property
    def is_sound(self) -> bool:
        """Whether each field is what it should be; anyone may have written the file."""
        return (
            isinstance(self.reason, str)
            and isinstance(self.traceback, str)
            and type(self.at) in (int, float)
            and -_LATEST < self.at < _LATEST
            and isinstance(self.task, (str, NoneType))
            and (self.queue is None or is_queue_name(self.queue))
            and (self.level is None or (type(self.level) is int and self.level in LEVELS))
            and (self.numbered is None or is_number(self.numbered))
        )

    @property
    def place(self) -> Place | None:
        """Where the file stood, None for one from the scanned directory."""
        return None if self.queue is None or self.level is None else Place(self.queue, self.level)


def read_reason(entry: str) -> Reason:
    """Return the reason that stands in an entry of ``failed``, or that it is not known."""
    try:
        with open(os.path.join(entry, WHY), encoding="utf-8", opener=open_without_waiting) as file:
            why = Reason(**json.load(file))
    except (OSError, ValueError, TypeError, RecursionError):
        why = None
    if why is None or not why.is_sound:
        return Reason(reason=LOST, at=modified(entry))
    return why
