"""Processes of a run: what they weigh, and how they are held and ended. Source: proc(5)."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def clean_up_on_sigterm() -> None:
    """Let a SIGTERM end this process as an exception does, so that nothing it made stays."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


def family(pids: Iterable[int]) -> list[int]:
    """Return the processes and all below them."""
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            waiting += [int(child) for child in text.split()]
    return found


def marked(mark: str) -> list[int]:
    """Return the living processes that were started with ``mark`` in their environment."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
    return found


def kill(pids: Iterable[int], signum: signal.Signals) -> None:
    """Signal processes; one that is gone needs none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Let the processes stand still for the block."""
    kill(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pids, signal.SIGCONT)


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with more variables; what runs in it keeps compiled code.

    An installed package comes compiled, so this checkout must not be compiled at each start.
    """
    return {**os.environ, **variables, "PYTHONDONTWRITEBYTECODE": ""}


def memory(pids: Iterable[int]) -> float:
    """Return what the processes weigh together in MB, each shared page by its part."""
    return sum(_field(pid, "smaps_rollup", "Pss") for pid in pids) / 1024


def resident(pids: Iterable[int], *, peak: bool = False) -> float:
    """Return the resident memory of the processes in MB, now or at their peaks."""
    return sum(_field(pid, "status", "VmHWM" if peak else "VmRSS") for pid in pids) / 1024


def private_memory(pid: int | str = "self") -> float:
    """Return the memory in MB that is this process's alone."""
    return sum(_field(pid, "smaps_rollup", f"Private_{kind}") for kind in ("Clean", "Dirty")) / 1024


def _field(pid: int | str, file: str, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return 0


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time the processes have used."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def cpu_share(pids: list[int], seconds: float) -> float:
    """Return the part of a core that the processes use during ``seconds``."""
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / seconds
