"""What ran, when and where: one line per event, each written by one appending ``write``."""

import fcntl
import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

directory = Path(os.environ.get("TORTURE_DIR", "."))
"""Where the run's files are."""

_locks: list[int] = []


def note(event: str, number: int, value: float = 0.0) -> None:
    """Add a line to the ledger."""
    line = f"{event} {number} {os.getpid()} {time.time():.6f} {value:.6f}\n"
    descriptor = os.open(directory / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def hold(number: int) -> None:
    """Lock the task's byte until ``release`` or death; note where another process holds it."""
    if not _locks:
        _locks.append(os.open(directory / "locks", os.O_RDWR | os.O_CREAT, 0o666))
    try:
        fcntl.lockf(_locks[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except OSError:
        note("overlap", number)


def release(number: int) -> None:
    """Give the task's byte back."""
    fcntl.lockf(_locks[0], fcntl.LOCK_UN, 1, number)


@dataclass
class Ledger:
    """A ledger that was read."""

    accepted: set[int] = field(default_factory=set)
    starts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    values: dict[int, float] = field(default_factory=dict)
    """What the accepting line carried."""
    order: list[int] = field(default_factory=list)
    """The tasks in the order of their starts."""
    pids: set[int] = field(default_factory=set)
    overlaps: int = 0


def read_ledger(directory: Path) -> Ledger:
    """Return what a run has noted so far."""
    ledger = Ledger()
    path = directory / "ledger"
    for line in path.read_text().splitlines() if path.exists() else []:
        event, number_text, pid, at, value = line.split()
        number = int(number_text)
        if event == "accepted":
            ledger.accepted.add(number)
            ledger.values[number] = float(value)
        elif event == "start":
            ledger.starts[number].append(float(at))
            ledger.order.append(number)
            ledger.pids.add(int(pid))
        elif event == "end":
            ledger.ends[number].append(float(at))
        elif event == "overlap":
            ledger.overlaps += 1
    return ledger
