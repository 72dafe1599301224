"""Mixed load for as long as you like: ``python -m benchmarks.soak --minutes 30``.

Tasks of all sizes, priorities and fates come in at a steady rate, and every few seconds one of two
spoolers, or its runner, is killed. The other one's processes, the master and the web worker live
throughout: their memory and their descriptors must stay as they were, and in the end no task may be
left or lost, nor have run again without a process having been killed.
"""

import argparse
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from django_spooler.spool.reason import WHY, read_reason

from . import machine, report
from .field import peer
from .instance import MEMORY, Instance, running
from .processes import clean_up_on_sigterm, descriptors, family, kill, resident

_BEAT = 0.5
"""Seconds between two portions of tasks, and between two looks."""

_ROUND = 20
"""Of so many tasks one fails for good."""

_PORTION = 2 * _ROUND

_KILL_EVERY = 6
"""Beats."""

_GROWTH = 2.0
"""MB that a process may weigh more at the end: what Python's allocator makes of chance."""

_LEAKED = 96
"""Bytes that each call of ``uwsgi.spool`` leaves behind in a web worker: two short ``bytes``. Source:
``uwsgi_py_dict_get`` and ``uwsgi_py_dict_del`` in uWSGI's ``plugins/python/uwsgi_python.h``."""

_STEADY_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
"""The threshold that glibc begins with, kept: otherwise it follows the largest block ever freed, and
each thread keeps as much more from then on. Source: M_MMAP_THRESHOLD in ``mallopt(3)``."""

_INI: dict[str, str | None] = {"spooler-processes": "2", "max-requests": None}
"""Two spoolers, and a web worker that stays for as long as it takes."""

_PATIENCE = 120.0

_PEER = replace(peer("spooler"), name="soak", title="soak", module="soak")


class Watch:
    """What the processes weighed and held open over time, by their role."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = pids
        self._memory: dict[str, list[float]] = {role: [] for role in pids}
        self._descriptors: dict[str, list[float]] = {role: [] for role in pids}

    def look(self) -> None:
        """Note how things are now."""
        for role, pid in self.pids.items():
            self._memory[role].append(resident([pid]))
            self._descriptors[role].append(descriptors(pid))

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return the medians of the second and of the last quarter, by what is measured."""
        return {
            f"{role}, {unit}": _early_and_late(looks[role])
            for unit, looks in (("MB", self._memory), ("descriptors", self._descriptors))
            for role in self.pids
        }


def _early_and_late(values: list[float]) -> tuple[float, float]:
    quarter = max(1, len(values) // 4)
    return median(values[quarter : 2 * quarter]), median(values[-quarter:])


def run(directory: Path, *, minutes: float, seed: int) -> dict[str, tuple[float, float]]:
    """Load it for some minutes, and return what was measured early and late.

    Raise AssertionError where something grew, or a task is left or lost.
    """
    chance = random.Random(seed)
    environment = {**_STEADY_MALLOC, "SOAK_SEED": str(seed)}
    with running(_PEER, directory, ini=_INI, environment=environment) as instance:
        spool = instance.directory / "spool" / "django"
        accepted = 1 + _warm_up(instance, spool)  # the instance has seen one run
        watch = Watch(_survivors(instance))
        more, killed = _load(instance, watch, chance, time.monotonic() + minutes * 60)
        accepted += more
        _wait_until_empty(spool)
        alive = {*instance.workers, instance.call("pid"), instance.master}
        replaced = [role for role, pid in watch.pids.items() if pid not in alive]
        assert not replaced, f"replaced: {replaced}"
        ended, failed = _ended(instance.directory), _failed(spool)
    assert failed.total() == accepted // _ROUND, f"{failed.total()} failed of {accepted}: {failed}"
    _check_ends(ended, accepted, killed)
    figures = watch.figures()
    leaked = accepted / 2 * _LEAKED / 1e6  # early and late are half of the time apart
    for name, (early, late) in figures.items():
        growth = _GROWTH if name.endswith("MB") else 0
        growth += leaked if name == "web worker, MB" else 0
        assert late - early <= growth, f"{name}: {early}, {late}"
    return {"tasks accepted, run": (accepted, ended.total()), **figures}


def _warm_up(instance: Instance, spool: Path) -> int:
    """Let each process have seen each kind of task; return how many were accepted."""
    instance.call("enqueue", 10 * _ROUND)
    _wait_until_empty(spool)
    return 10 * _ROUND


def _survivors(instance: Instance) -> dict[str, int]:
    """Return the processes that nobody kills."""
    spooler = instance.call("spooler_pids")[1]
    _wait(lambda: len(family([spooler])) == 2, "the spooler has no runner")
    return {
        "master": instance.master,
        "web worker": instance.call("pid"),
        "spooler": spooler,
        "runner": family([spooler])[1],
    }


def _load(instance: Instance, watch: Watch, chance: random.Random, until: float) -> tuple[int, int]:
    """Enqueue, kill and look until the time is over.

    Return how many tasks were accepted, and how many processes killed.
    """
    accepted = killed = beat = 0
    while time.monotonic() < until:
        beat += 1
        next_beat = time.monotonic() + _BEAT
        instance.call("enqueue", _PORTION)
        accepted += _PORTION
        if beat % _KILL_EVERY == 0:
            victims = family(instance.call("spooler_pids")[:1])
            chosen = chance.sample(victims, chance.randint(1, len(victims)))
            kill(chosen, signal.SIGKILL)
            killed += len(chosen)
        watch.look()
        time.sleep(max(0.0, next_beat - time.monotonic()))
    return accepted, killed


def _ended(directory: Path) -> Counter[int]:
    """Return how often each task came to its end, by its number."""
    files = (directory / "ended").iterdir()
    return Counter(int(line) for file in files for line in file.read_text().splitlines())


def _check_ends(ended: Counter[int], accepted: int, killed: int) -> None:
    """Check that no task is lost, and none ran again without its process having been killed."""
    lost = {number for number in range(accepted) if number % _ROUND != _ROUND - 1} - ended.keys()
    assert not lost, f"lost: {len(lost)} of {accepted}"
    again = ended.total() - len(ended)
    assert again <= killed, f"{again} ran again, and {killed} processes were killed"


def _wait_until_empty(spool: Path) -> None:
    """Wait until no task is left; one that moves on while it is looked for is in no place."""
    _wait(lambda: not (_left(spool) or _left(spool)), "tasks are left")


def _left(spool: Path) -> dict[str, int]:
    """Return how many files stand where tasks wait or run, by state."""
    counts = {
        state: sum(len(files) for _, _, files in os.walk(spool / state))
        for state in ("ready", "scheduled", "running")
    }
    return {state: count for state, count in counts.items() if count}


def _failed(spool: Path) -> Counter[str]:
    """Return how many tasks failed, by their name and the reason.

    An entry that holds nothing, or only why, was begun by a process that was killed before it moved
    the task's file there; the task got another, and this one is removed after an hour.
    """
    entries = (
        entry for entry in (spool / "failed").iterdir() if not {WHY}.issuperset(os.listdir(entry))
    )
    reasons = (read_reason(str(entry)) for entry in entries)
    return Counter(f"{why.task}: {why.reason}" for why in reasons)


def _wait(condition: Callable[[], bool], finding: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < until, finding
        time.sleep(0.05)


def main() -> None:
    """Run the soak and print what was early and late."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--directory", type=Path, default=MEMORY, help="default in memory")
    options = parser.parse_args()
    clean_up_on_sigterm()
    place = f"{options.directory} ({machine.file_system(options.directory)})"
    print(f"{options.minutes:g} minutes, seed {options.seed}, {place}, load {machine.load():.2f}")
    figures = run(options.directory, minutes=options.minutes, seed=options.seed)
    rows = ([name, f"{early:,.1f}", f"{late:,.1f}"] for name, (early, late) in figures.items())
    print(report.table(["", "early", "late"], rows))


if __name__ == "__main__":
    main()
