"""Each slot of a periodic job once, whatever happens to those that run it.

Eight nodes call ``runcrons`` over and over, and two servers tick. Nodes are killed, and frozen for
longer than the lease, all the time; others come in their place. At the end the history and what the
jobs recorded have to agree: each slot was decided on, nothing still runs, and no slot was run again
but after the death of the run before. So have django-cron's log and the history of its classes.
``DATABASE`` chooses the database.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import django

from tests.databases import empty_database
from tests.integration.nodes import APPS, Node, history, log_of, start
from tests.integration.server import Server, Site, wait_until
from tests.integration.setups import BARE

FULL = 180
"""Seconds."""

NODES = 8
LEASE = 2.0
EVERY = {"quick": 1, "failing": 1, "slow": 1, "queued": 2, "rare": 5}
JOBS: list[dict[str, Any]] = [
    {"code": "quick", "every": 1},
    {"code": "failing", "every": 1, "fails": True},
    {"code": "slow", "every": 1, "seconds": 2, "overlap": "allow"},
    {"code": "queued", "every": 2, "seconds": 1, "overlap": "queue", "catch_up": "all"},
    {"code": "rare", "every": 5, "seconds": 1, "catch_up": "all"},
]
CLASSES: dict[str, dict[str, Any]] = {
    "Quick": {"code": "class-quick", "run_every_mins": 1 / 60},
    "Failing": {"code": "class-failing", "run_every_mins": 1 / 60, "fails": True},
    "Slow": {"code": "class-slow", "run_every_mins": 2 / 60, "seconds": 1},
    "Parallel": {"code": "class-parallel", "run_every_mins": 1 / 60, "seconds": 2},
}
CLASSES["Parallel"]["attributes"] = {"ALLOW_PARALLEL_RUNS": True}
ENDED = {"success", "failed", "died", "skipped", "missed"}


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Let nodes die and freeze for ``size`` seconds."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    jobs = [{**job, "lease": LEASE} for job in JOBS]
    with empty_database(directory, f"spooler_torture_{os.getpid()}") as entry:
        settings = {
            "INSTALLED_APPS": APPS,
            "JOBS": jobs,
            "CLASSES": CLASSES,
            "CRON_CLASSES": [f"clockwork.cron.{name}" for name in CLASSES],
            "DJANGO_CRON_LOCK_BACKEND": "django_spooler.cron.DatabaseLeaseLock",
            "DJANGO_CRON_LOCK_TIME": LEASE,
            "DATABASES": {"default": entry},
        }
        nodes = Site(directory / "nodes", settings)
        nodes.manage("migrate", "--verbosity=0")
        servers = [
            Server(Site(directory / name, {**settings, "OPTIONS": {"CRON": True}}), BARE)
            for name in ("first", "second")
        ]
        with _ending(servers):
            figures = _hurt(nodes, random.Random(seed), size)
            end = time.time()
            wait_until(lambda: not _unfinished(nodes, end), "all runs are over", 60)
        sites = [nodes, *(server.site for server in servers)]
        return figures | _agree(sites, end) | _classes_agree(sites)


@contextlib.contextmanager
def _ending(servers: list[Server]):
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.end()


def _hurt(site: Site, chance: random.Random, seconds: float) -> dict[str, Any]:
    names = map(str, count())
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        running = [start(stack, site, next(names), command="loopclasses") for _ in range(NODES)]
        while time.monotonic() < until:
            time.sleep(chance.uniform(0.2, 1.0))
            node = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.5:
                done["nodes killed"] += 1
                node.process.kill()
                running.append(start(stack, site, next(names), command="loopclasses"))
            else:
                done["nodes frozen"] += 1
                _freeze(node, chance.uniform(0.5, 2 * LEASE))
                running.append(node)
        for node in running:
            node.stop()
    return {"seconds": seconds, **done}


def _freeze(node: Node, seconds: float) -> None:
    node.signal(signal.SIGSTOP)
    time.sleep(seconds)
    node.signal(signal.SIGCONT)


def _unfinished(site: Site, end: float) -> list[dict[str, Any]]:
    codes = [options["code"] for options in CLASSES.values()]
    runs = (run for job in (*EVERY, *codes) for run in history(site, job))
    return [run for run in runs if run["slot"] <= end and run["outcome"] not in ENDED]


def _agree(sites: list[Site], end: float) -> dict[str, Any]:
    figures: Counter[str] = Counter()
    for job, every in EVERY.items():
        runs = [run for run in history(sites[0], job) if run["slot"] <= end]
        slots = sorted({run["slot"] for run in runs})
        assert slots == [slots[0] + every * n for n in range(len(slots))], (
            f"{job}: a slot is missing"
        )
        outcomes: dict[float, list[str]] = {slot: [] for slot in slots}
        for entry in runs:
            outcomes[entry["slot"]].append(entry["outcome"])
        began = Counter(event["slot"] for site in sites for event in site.events("began", job=job))
        for slot, ends in outcomes.items():
            _agree_on_slot(f"{job} at {slot}", ends, began[slot])
            figures["slots"] += 1
            figures["runs taken over"] += ends.count("died")
            figures[f"slots that ended in {_last(ends)}"] += 1
    return dict(figures)


def _agree_on_slot(where: str, ends: list[str], began: int) -> None:
    """Check that each run but the last died, and that no run began that the history does not know."""
    assert ends.count("died") >= len(ends) - 1, f"{where}: {ends}"
    started = len(ends) - ends.count("skipped") - ends.count("missed")
    # One that was killed between its claim and its first line has not begun.
    assert started - ends.count("died") <= began <= started, f"{where}: {ends}, began {began} times"


def _classes_agree(sites: list[Site]) -> dict[str, Any]:
    """Check the runs of the classes; their slots follow from their starts, and so does the log."""
    figures: Counter[str] = Counter()
    for options in CLASSES.values():
        job = options["code"]
        runs = [run for run in history(sites[0], job) if run["start"]]
        outcomes: dict[float, list[str]] = {}
        for run in runs:
            outcomes.setdefault(run["slot"], []).append(run["outcome"])
        for slot, ends in outcomes.items():
            assert ends.count("died") >= len(ends) - 1, f"{job} at {slot}: {ends}"
        kinds = Counter(run["outcome"] for run in runs)
        over = kinds["success"] + kinds["failed"]
        began = sum(len(site.events("began", job=job)) for site in sites)
        assert over <= began <= len(runs), f"{job}: {kinds}, began {began} times"
        rows = log_of(sites[0], job)
        good = sum(row["is_success"] for row in rows)
        assert good == kinds["success"], f"{job}: {good} good rows of the log, {kinds}"
        assert over + kinds["died"] <= len(rows) <= len(runs), f"{job}: {len(rows)} rows, {kinds}"
        figures["runs of classes"] += len(runs)
        figures["runs of classes taken over"] += kinds["died"]
    return dict(figures)


def _last(ends: list[str]) -> str:
    return next((end for end in ends if end != "died"), "died")
