"""What large numbers and options cost: ``python -m benchmarks.scale [ROW...]``.

Each row runs this project as shipped, beside itself or a peer, and returns figures by name. The
full sizes take some ten minutes, and 6 GB where the directory is; ``--size`` sets the scale.
"""

import argparse
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from . import machine, report
from .field import peer
from .instance import MEMORY, ROOT, Instance, running
from .measure import rates, warm_up
from .processes import clean_up_on_sigterm, cpu_share, environment, frozen, memory, resident

_PATIENCE = 600.0
"""Seconds for one step."""

_BATCH = 10_000
"""Tasks of one request, and those that a rate is taken of."""

_ROUNDS = 3

_IDLE = 10.0
"""Seconds an idle spooler is watched."""


@dataclass(frozen=True)
class Scale:
    """How large, and where."""

    size: float
    """1 for the full sizes."""

    directory: Path
    disk: Path

    def of(self, full: int) -> int:
        """Return a number of tasks."""
        return max(100, round(full * self.size))

    @contextmanager
    def running(self, name: str = "spooler", **options: Any) -> Iterator[Instance]:
        """Run this project or a peer, warm."""
        with running(peer(name), self.directory, **options) as instance:
            warm_up(instance, _PATIENCE)
            yield instance

    def rates(self, instance: Instance) -> tuple[float, float]:
        """Return the medians of the rates of some rounds."""
        found = [rates(instance, self.of(_BATCH), _PATIENCE) for _ in range(_ROUNDS)]
        enqueued, run = zip(*found, strict=True)
        return median(enqueued), median(run)


def processes(scale: Scale) -> dict[str, float]:
    """Two spooler processes beside one, for tasks that sleep or compute for 1 ms."""
    figures = {}
    for kind, function in (("sleeping", "enqueue"), ("computing", "enqueue_spinning")):
        one, two = (
            median([_rate(scale, count, function) for _ in range(_ROUNDS)]) for count in (1, 2)
        )
        figures[f"{kind}, one process, /s"] = one
        figures[f"{kind}, two processes, /s"] = two
        figures[f"{kind}, two to one"] = two / one
    return figures


def _rate(scale: Scale, count: int, function: str) -> float:
    with scale.running(ini={"spooler-processes": str(count)}) as instance:
        return rates(instance, scale.of(4000), _PATIENCE, 0.001, function)[1]


def lying(scale: Scale) -> dict[str, float]:
    """100,000 scheduled and 100,000 failed tasks lie there: idle, and both rates."""
    with scale.running() as instance:
        before, idle_before = scale.rates(instance), cpu_share(instance.workers, _IDLE)
        size = scale.of(100_000)
        _enqueue(instance, size, "enqueue_for_tomorrow")
        expected = instance.board.count + size
        _enqueue(instance, size, "enqueue_failing")
        instance.board.wait(expected, _PATIENCE, 0.05)
        time.sleep(3)
        idle, after = cpu_share(instance.workers, _IDLE), scale.rates(instance)
    return {
        "idle before, % of a core": idle_before * 100,
        "idle, % of a core": idle * 100,
        "enqueue before, /s": before[0],
        "enqueue, /s": after[0],
        "run before, /s": before[1],
        "run, /s": after[1],
    }


def _enqueue(instance: Instance, count: int, function: str = "enqueue") -> None:
    """Enqueue many before any runs, in requests of a size a site may have."""
    with frozen(instance.workers):
        for done in range(0, count, _BATCH):
            instance.call("enqueue", min(_BATCH, count - done), 0.0, function)


def million(scale: Scale) -> dict[str, float]:
    """1,000,000 tasks wait: the rate of the last 10,000 beside the first, and the memory."""
    size, portion = scale.of(1_000_000), scale.of(_BATCH)
    with scale.running() as instance:
        idle, began = resident(instance.workers), time.monotonic()
        start = instance.board.count
        _enqueue(instance, size)
        enqueued = time.monotonic() - began
        course = _course(instance, start + size)
        peak = resident(instance.workers, peak=True)
    first = _rate_between(course, start + portion // 10, start + portion)
    last = _rate_between(course, start + size - portion, start + size - portion // 10)
    return {
        "enqueue, /s": size / enqueued,
        "run first, /s": first,
        "run last, /s": last,
        "last to first": last / first,
        "more memory at its peak, MB": peak - idle,
    }


def _course(instance: Instance, until: int) -> list[tuple[float, int]]:
    """Return how many tasks had ended when, until as many have."""
    course, patience = [], time.monotonic() + _PATIENCE
    while not course or (course[-1][1] < until and time.monotonic() < patience):
        course.append((time.monotonic(), instance.board.count))
        time.sleep(0.01)
    return course


def _rate_between(course: list[tuple[float, int]], low: int, high: int) -> float:
    """Return the tasks per second from one count to another; both may lie between two looks."""
    (began, first), (ended, last) = (
        min(course, key=lambda look, count=count: abs(look[1] - count)) for count in (low, high)
    )
    return (last - first) / (ended - began) if ended > began else float("nan")


def results(scale: Scale) -> dict[str, float]:
    """``RESULTS = "database"`` beside django-tasks-db, on one PostgreSQL."""
    found: dict[str, list[tuple[float, float]]] = {"spooler-results": [], "django-tasks-db": []}
    for _ in range(_ROUNDS):
        for name, rounds in found.items():
            with scale.running(name) as instance:
                rounds.append(rates(instance, scale.of(3000), 20))
    (ours_in, ours), (theirs_in, theirs) = (
        [median(values) for values in zip(*rounds, strict=True)] for rounds in found.values()
    )
    return {
        "enqueue, /s": ours_in,
        "django-tasks-db enqueue, /s": theirs_in,
        "run, /s": ours,
        "django-tasks-db run, /s": theirs,
        "run, ours to theirs": ours / theirs,
    }


def weight(scale: Scale) -> dict[str, float]:
    """The memory of a spooler process and its runner beside a bare one, after 10,000 tasks."""
    weights = {}
    for name in ("spooler", "uwsgidecorators"):
        with scale.running(name) as instance:
            rates(instance, scale.of(_BATCH), _PATIENCE)
            weights[name] = memory(instance.workers)
    return {
        "ours, MB": weights["spooler"],
        "bare, MB": weights["uwsgidecorators"],
        "more, MB": weights["spooler"] - weights["uwsgidecorators"],
    }


_START = """
import time
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
{more}
from benchmarks.processes import private_memory
print(time.process_time() * 1000, private_memory())
"""

_MORE = """
import benchmarks.peers.spooler
from django_spooler.compat import task_backends
task_backends["default"].spooler_options
"""


def imported(scale: Scale) -> dict[str, float]:
    """What a web worker takes more to load with this project: time and memory of its own."""
    milliseconds, megabytes = [], []
    for _ in range(9):
        with_it, without = _start(scale, "spooler", _MORE), _start(scale, "base", "")
        milliseconds.append(with_it[0] - without[0])
        megabytes.append(with_it[1] - without[1])
    return {"more, ms": median(milliseconds), "more, MB": median(megabytes)}


def _start(scale: Scale, settings: str, more: str) -> tuple[float, float]:
    """Load a site, and return the processor time in ms and the memory in MB it took."""
    site = environment(
        PYTHONPATH=str(ROOT),
        BENCH_DIRECTORY=str(scale.directory),
        BENCH_BOARD=str(scale.directory),
        DJANGO_SETTINGS_MODULE=f"benchmarks.settings.{settings}",
    )
    command = [sys.executable, "-c", _START.format(more=more)]
    said = subprocess.run(command, env=site, check=True, capture_output=True, text=True)
    milliseconds, megabytes = said.stdout.split()
    return float(milliseconds), float(megabytes)


def fsync(scale: Scale) -> dict[str, float]:
    """``FSYNC`` on a disk, beside what the disk does: a new file and its directory, both synced."""
    size = scale.of(1000)
    with running(peer("spooler"), scale.disk, FSYNC=True) as instance:
        warm_up(instance, _PATIENCE)
        enqueued = rates(instance, size, _PATIENCE)[0]
        with frozen(instance.workers):
            in_bulk = size / instance.call("enqueue_in_bulk", size)
    with tempfile.TemporaryDirectory(prefix="bench-disk-", dir=scale.disk) as name:
        floor = _synced_files(Path(name), size)
    return {
        "enqueue, /s": enqueued,
        "the disk alone, /s": floor,
        "ours to it": enqueued / floor,
        "enqueue in bulk, /s": in_bulk,
    }


def _synced_files(directory: Path, count: int) -> float:
    """Return how many small files a second are written, synced, renamed and their directory synced."""
    folder = os.open(directory, os.O_RDONLY)
    began = time.perf_counter()
    for number in range(count):
        with (directory / "beside").open("xb") as file:
            file.write(bytes(300))
            file.flush()
            os.fsync(file.fileno())
        os.rename(directory / "beside", directory / str(number))
        os.fsync(folder)
    took = time.perf_counter() - began
    os.close(folder)
    return count / took


ROWS: tuple[Callable[[Scale], dict[str, float]], ...] = (
    processes,
    lying,
    million,
    results,
    weight,
    imported,
    fsync,
)


def main() -> None:
    """Run the chosen rows and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    names = [row.__name__ for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names)}; or all")
    parser.add_argument("--size", type=float, default=1.0, help="1 for the full sizes")
    parser.add_argument("--directory", type=Path, default=MEMORY, help="default in memory")
    parser.add_argument("--disk", type=Path, default=ROOT / ".cache", help="where FSYNC is tried")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(names):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    clean_up_on_sigterm()
    options.disk.mkdir(parents=True, exist_ok=True)
    scale = Scale(options.size, options.directory, options.disk)
    places = ", ".join(
        f"{path} ({machine.file_system(path)})" for path in (scale.directory, scale.disk)
    )
    print(f"{places}; load {machine.load():.2f}; scale {scale.size:g}")
    for row in ROWS:
        if not options.rows or row.__name__ in options.rows:
            found = row(scale)
            print(f"\n{inspect.getdoc(row)}\n", flush=True)
            figures = ([name, report.number(value)] for name, value in found.items())
            print(report.table(["", ""], figures), flush=True)


if __name__ == "__main__":
    main()
