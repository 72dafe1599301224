"""The names of task files.

uWSGI names a file for its host, process, counter and time; what this package needs to know without
opening the file stands behind it, as in a Maildir::

    uwsgi_spoolfile_on_web1_4711_12_1804289383_1764000000_123456
    uwsgi_spoolfile_on_web1_4711_12_1804289383_1764000000_123456;a=2
    uwsgi_spoolfile_on_web1_4711_12_1804289383_1764000000_123456;a=2;r=1764000900000000

``a`` counts the attempts used up, ``c`` how often the task was cut by the death of its whole server,
``s`` tells that it had been started when a stop or reload cut it,
``r`` is when the task became ready (microseconds since the epoch), for one that waited for its time.
A name of any other form is sorted first: its content decides what becomes of it. One that leaves no
room for all this, with some 200 bytes or more, is set aside as it is.
"""

import itertools
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass

PREFIX = "uwsgi_spoolfile_on_"

_FORM = re.compile(
    r"(?P<base>.+?)(?:;a=(?P<attempts>[1-9]\d{0,5}))?(?:;c=(?P<cuts>[1-9]\d{0,5}))?"
    r"(?P<started>;s=1)?(?:;r=(?P<ready_at>0|[1-9]\d{0,17}))?",
    re.DOTALL | re.ASCII,
)
MOST = 999_999
"""What a name counts to; Django's result keeps a list as long."""

_counter = itertools.count(1)


@dataclass(slots=True)  # not frozen: each field of a frozen one costs a call
class TaskName:
    """A task file's name, taken apart."""

    base: str
    attempts: int = 0
    cuts: int = 0
    started: bool = False
    ready_at: int | None = None

    @classmethod
    def parse(cls, name: str) -> "TaskName":
        """Return the parts of any file name; an unknown form is all base."""
        match = _FORM.fullmatch(name) if ";" in name else None
        if match is None:
            return cls(name)
        base, attempts, cuts, started, ready_at = match.groups()
        return cls(
            base,
            int(attempts or 0),
            int(cuts or 0),
            started is not None,
            None if ready_at is None else int(ready_at),
        )

    def __str__(self) -> str:
        attempts = f";a={min(self.attempts, MOST)}" if self.attempts else ""
        cuts = f";c={min(self.cuts, MOST)}" if self.cuts else ""
        ready_at = f";r={self.ready_at}" if self.ready_at is not None else ""
        started = ";s=1" if self.started else ""
        return f"{self.base}{attempts}{cuts}{started}{ready_at}"


def new_base() -> str:
    """Return an unused file name of the form uWSGI gives."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return (
        f"{PREFIX}{socket.gethostname()}_{os.getpid()}_{next(_counter)}_{secrets.randbelow(1 << 31)}"
        f"_{seconds}_{microseconds}"
    )


def new_id() -> str:
    """Return an unused id: its first 12 hexadecimal digits are milliseconds since the epoch.

    So a list of ids is sorted by time, and a task is found among many without reading them all.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def id_time(identifier: str) -> float | None:
    """Return when an id was made (seconds since the epoch), None for one of another form."""
    try:
        seconds = int(identifier[:12], 16) / 1000
    except ValueError:
        return None
    return seconds if len(identifier) == 32 and is_moment(seconds) else None


_FIRST, _LAST = 1.5e9, 4e9
"""Seconds since the epoch between which a task was made: the years 2017 to 2096."""


def is_moment(seconds: float) -> bool:
    """Tell whether a task can have been made then; the name of another's file may tell anything."""
    return _FIRST < seconds < _LAST


def as_text(name: str) -> str:
    """Return a name or path as text that can be encoded: bytes that are no UTF-8 as ``\\xff``."""
    return os.fsencode(name).decode(errors="backslashreplace")


def printable(text: str) -> str:
    """Return text from a file or its name as a terminal or log can show it, on as many lines."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


def order(name: str) -> tuple[int, int]:
    """Return the sort key that puts the task that became ready first in front.

    It is the ready time in microseconds, then the producer's counter.
    """
    base, _, state = name.partition(";")
    parts = base.rsplit("_", 4)
    try:
        counter, ready_at = int(parts[1]), int(parts[3]) * 1_000_000 + int(parts[4])
        if state:
            ready_at = TaskName.parse(name).ready_at or ready_at
    except (ValueError, IndexError):
        return (0, 0)
    return (ready_at, counter)
