"""Prompt, scheduled, in order.

An idle spooler starts a task within milliseconds and a busy one takes the next the moment it is
free, whoever put it there. A scheduled task starts within a second of its time and never before it,
across a restart too; many that wait cost nothing. Higher priority goes first however long the
backlog, and within a priority the oldest. Bounds leave room for a busy machine; the figures tell.
"""

import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from .server import SETUPS, Server, running
from .site.ledger import Ledger

FULL = 100_000
"""Tasks that wait for tomorrow; a fifth is due at the same second, a tenth is the backlog."""


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Measure every figure with one spooler process, bare and as shipped."""
    figures = {}
    for name, ini in SETUPS.items():
        with running(directory / name, ini=ini) as server:
            rows = (_idle, _busy, _external, _priority, _order, _same_second, _restart, _tomorrow)
            for row in rows:
                found = row(_Clock(server), random.Random(seed), size)
                server.eventually(server.has_nothing_ready, f"{row.__name__} is done", 180)
                figures.update({f"{name}: {figure}": value for figure, value in found.items()})
    return figures


class _Clock:
    """Enqueues with time stamps and reads when what started."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._directory = server.directory
        (self._directory / "ledger").unlink(missing_ok=True)

    @property
    def ledger(self) -> Ledger:
        return self.server.ledger

    def shell(self, code: str) -> None:
        """Run code in a process that is no uWSGI."""
        self.server.shell(code)

    def wait(self, count: int, timeout: float = 120) -> Ledger:
        """Return the ledger once ``count`` tasks have ended."""
        self.server.eventually(
            lambda: self.server.noted("end") >= count, f"{count} tasks ended", timeout
        )
        return self.ledger

    def delays(self, count: int) -> list[float]:
        """Return the seconds from just before each ``enqueue`` to its task's start, sorted."""
        ledger = self.wait(count)
        return sorted(ledger.starts[n][0] - ledger.values[n] for n in ledger.values)


def _milliseconds(values: list[float]) -> dict[str, float]:
    last = len(values) - 1
    return {
        name: round(values[int(last * part)] * 1000, 1)
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


_ONE_BY_ONE = """
for n in range(%d):
    before = time.time()
    work.enqueue(n)
    note('accepted', n, before)
    time.sleep(random.uniform(0.01, 0.05))
"""


def _idle(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """From a web worker, and from a process that is no uWSGI, to an idle spooler."""
    for number in range(50):
        clock.server.get(f"/enqueue?first={number}&ms=0")
        time.sleep(chance.uniform(0.01, 0.05))
    web = clock.delays(50)
    clock = _Clock(clock.server)
    clock.shell(_ONE_BY_ONE % 100)
    shell = clock.delays(100)
    for delays in (web, shell):
        assert statistics.median(delays) < 0.05 and delays[-1] < 1, delays
    return {"idle, from a web worker, ms": _milliseconds(web), "from a shell": _milliseconds(shell)}


def _busy(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """The next task of the only spooler was put there while it was busy."""
    for number in range(0, 40, 2):
        clock.server.get(f"/enqueue?first={number}&ms=80,0")
        clock.wait(number + 2)
        time.sleep(0.02)
    ledger = clock.ledger
    gaps = sorted(ledger.starts[n + 1][0] - ledger.ends[n][0] for n in range(0, 40, 2))
    assert statistics.median(gaps) < 0.05, gaps
    return {"busy until it takes the next, ms": _milliseconds(gaps)}


def _external(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """From another instance, that has the directory as ``spooler-external``."""
    other = Server(
        clock.server.directory,
        command=("--master", "--spooler-external", str(clock.server.spool)),
        spoolers=0,
    )
    other.start()
    try:
        for number in range(30):
            other.get(f"/enqueue?first={number}&ms=0")
            time.sleep(chance.uniform(0.01, 0.1))
        delays = clock.delays(30)
    finally:
        other.stop_alone()
    assert delays[-1] < 1, delays
    return {"from an external instance, ms": _milliseconds(delays)}


def _priority(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """A long backlog of 5 ms tasks, and now and then one of high priority."""
    backlog = max(2000, size // 10)
    clock.server.manage("pause")
    clock.shell(f"for n in range(1000, 1000 + {backlog}): work.enqueue(n, 5)")
    clock.server.manage("resume")
    clock.wait(20)
    clock.shell(
        "urgent = work.using(priority=50)\n"
        + _ONE_BY_ONE.replace("work.", "urgent.") % min(50, backlog // 100)
    )
    waiting = clock.server.counts()["ready"]
    assert waiting, "the backlog was over before the urgent ones came"
    ledger = clock.ledger
    delays = sorted(ledger.starts[n][0] - ledger.values[n] for n in ledger.values)
    assert statistics.median(delays) < 0.1 and delays[-1] < 0.5, delays
    clock.server.manage("pause")
    clock.server.empty("ready")
    clock.server.manage("resume")
    return {f"priority 50 over {backlog} waiting, ms": _milliseconds(delays)}


def _order(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """All priorities, -100 to 100, shuffled; within each the oldest first, with one process."""
    count = min(2010, size // 10)
    priorities = [chance.randint(-100, 100) for _ in range(count)]
    clock.server.manage("pause")
    clock.shell(
        f"for n, priority in enumerate({priorities}): work.using(priority=priority).enqueue(n)"
    )
    clock.server.manage("resume")
    order = clock.wait(count).order
    wanted = sorted(range(count), key=lambda n: (-priorities[n], n))
    assert order == wanted, "inversions"
    return {f"inversions among {count} tasks of 201 priorities": 0}


def _same_second(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """Very many due at the same second: none is early, and one that is urgent does not wait."""
    count = size // 5
    lead = 5 + count / 500
    due = time.time() + lead
    clock.shell(
        f"later = work.using(run_after=datetime.fromtimestamp({due}, tz=UTC))\n"
        f"for n in range({count}): later.enqueue(n)\n"
        "urgent = later.using(priority=50)\n"
        f"urgent.enqueue({count})\n"
        f"assert time.time() < {due}, 'too slow to schedule them in time'"
    )
    ledger = clock.wait(count + 1, timeout=lead + 120)
    late = sorted(times[0] - due for number, times in ledger.starts.items() if number < count)
    urgent = ledger.starts[count][0] - due
    assert late[0] >= 0 and urgent >= 0, "before its time"
    assert late[0] < 1 and urgent < 1, (late[0], urgent)
    return {
        f"{count} due at once: the first starts after, ms": round(late[0] * 1000, 1),
        "the last": round(late[-1] * 1000, 1),
        "an urgent one": round(urgent * 1000, 1),
    }


def _restart(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """Scheduled tasks while the server is stopped and started."""
    start = time.time()
    dues = [start + chance.uniform(3, 8) for _ in range(200)]
    clock.shell(
        f"for n, due in enumerate({dues}):\n"
        "    work.using(run_after=datetime.fromtimestamp(due, tz=UTC)).enqueue(n)"
    )
    down = time.time()
    clock.server.stop()
    clock.server.start()
    up = time.time()
    ledger = clock.wait(200)
    late = [ledger.starts[number][0] - max(due, up) for number, due in enumerate(dues)]
    early = [number for number, due in enumerate(dues) if ledger.starts[number][0] < due]
    assert not early, "before its time"
    assert max(late) < 1, sorted(late)[-5:]
    return {
        "scheduled across a restart, ms late": _milliseconds(sorted(max(0.0, x) for x in late)),
        "seconds down": round(up - down, 1),
    }


def _tomorrow(clock: _Clock, chance: random.Random, size: int) -> dict[str, Any]:
    """What waits for tomorrow costs no time, and slows nothing."""
    clock.shell(
        "start = timezone.now() + timedelta(days=1)\n"
        f"for n in range(1000, 1000 + {size}):\n"
        f"    work.using(run_after=start + timedelta(seconds=n / {size} * 86400)).enqueue(n)"
    )
    pids = clock.server.spoolers() + clock.server.runners()
    time.sleep(2)
    before, began = _ticks(pids), time.monotonic()
    time.sleep(10)
    share = (_ticks(pids) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    assert share <= 0.02, f"{share:.1%} of a core"
    clock.shell(_ONE_BY_ONE % 100)
    delays = clock.delays(100)
    assert statistics.median(delays) < 0.05, delays
    clock.server.empty("scheduled")
    return {
        f"{size} waiting for tomorrow, share of a core": f"{share:.2%}",
        "idle start beside them, ms": _milliseconds(delays),
    }


def _ticks(pids: list[int]) -> int:
    """Return the clock ticks the processes have used, from proc(5)."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields)
