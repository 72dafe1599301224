"""What tasks leave behind, in memory that whoever measures can read while they run.

Every process that runs tasks has one small file, mapped into memory, so a task costs less than a
microsecond beside what is measured. Times are nanoseconds of the clock that all processes share
(CLOCK_MONOTONIC).
"""

import mmap
import os
import time
from pathlib import Path

COUNT, STARTED, ENDED, GAP = range(4)
"""Tasks that ended, when the last began and ended, and its start after the end of the one before."""

_SIZE = 4 * 8

_own: memoryview | None = None


def work(seconds: float = 0.0) -> None:
    """Be a task: take some time, and leave it on the board."""
    slot = _own or _open_own()
    started = time.monotonic_ns()
    slot[GAP] = started - slot[ENDED]
    slot[STARTED] = started
    if seconds:
        time.sleep(seconds)
    slot[ENDED] = time.monotonic_ns()
    slot[COUNT] += 1


def spin(seconds: float) -> None:
    """Be a task that computes."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    work()


def _open_own() -> memoryview:
    global _own
    path = _directory() / str(os.getpid())
    path.write_bytes(bytes(_SIZE))
    _own = _map(path)
    return _own


def _directory() -> Path:
    return Path(os.environ["BENCH_BOARD"])


def _map(path: Path) -> memoryview:
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")


class Board:
    """All processes' files, as they are now."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or _directory()
        self._slots: dict[str, memoryview] = {}

    @property
    def count(self) -> int:
        """How many tasks have ended."""
        self._find()
        return sum(slot[COUNT] for slot in self._slots.values())

    @property
    def ended(self) -> int:
        """When the last task ended, 0 without any."""
        return max((slot[ENDED] for slot in self._slots.values()), default=0)

    @property
    def last(self) -> memoryview:
        """The file of the process that ran the last task."""
        return max(self._slots.values(), key=lambda slot: slot[ENDED])

    def _find(self) -> None:
        for path in self._directory.iterdir():
            if path.name not in self._slots and path.stat().st_size == _SIZE:
                self._slots[path.name] = _map(path)

    def wait(self, count: int, patience: float, pause: float = 0.0002) -> bool:
        """Tell whether ``count`` tasks have ended within ``patience`` seconds."""
        until = time.monotonic() + patience
        while self.count < count:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
        return True
