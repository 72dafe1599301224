"""What is measured of each peer, in the same way."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .instance import Failure, Instance
from .processes import frozen

_WARM = 300
"""Tasks before anything is measured: connections are open, and code is loaded."""

_SAMPLES = 100

_REST = 0.5
"""Seconds without a task before workers are stopped: one that polls its database all the time, as
right after a task, could be stopped within a transaction, and nobody could write any more."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Figure:
    """One column of the comparison."""

    name: str
    title: str
    unit: str
    more_is_better: bool


FIGURES = (
    Figure("enqueue", "enqueue", "/s", True),
    Figure("run", "run", "/s", True),
    Figure("idle p50", "start, idle, p50", "ms", False),
    Figure("idle p99", "start, idle, p99", "ms", False),
    Figure("busy p50", "start, busy, p50", "ms", False),
)

PICTURED = tuple(figure for figure in FIGURES if figure.name in ("enqueue", "run", "idle p50"))


def measure(instance: Instance, size: int, patience: float) -> dict[str, float]:
    """Return the figures of one peer: ``size`` tasks wait, and no step takes much over ``patience``."""
    warm_up(instance, patience)
    figures = starts(instance, patience)
    figures["enqueue"], figures["run"] = rates(instance, size, patience)
    return figures


def warm_up(instance: Instance, patience: float) -> None:
    """Run some tasks. Raise Failure where they do not run."""
    expected = instance.board.count + _WARM
    instance.call("enqueue", _WARM)
    if not instance.board.wait(expected, max(patience, 30), 0.01):
        raise Failure(f"{instance.peer.title}: {_WARM} tasks do not run")


def starts(instance: Instance, patience: float) -> dict[str, float]:
    """Return how soon tasks start, in ms."""
    idle = instance.call("idle", _SAMPLES, patience)
    busy = instance.call("busy", _SAMPLES // 3, patience)
    return {
        "idle p50": percentile(idle, 50) * 1000,
        "idle p99": percentile(idle, 99) * 1000,
        "busy p50": percentile(busy, 50) * 1000,
    }


def rates(
    instance: Instance, size: int, patience: float, seconds: float = 0.0, function: str = "enqueue"
) -> tuple[float, float]:
    """Return tasks enqueued and run per second, each task of ``seconds``.

    The workers stand still while the tasks are enqueued, so each of the two is measured alone. What
    is not run within ``patience`` seconds is left.
    """
    time.sleep(_REST)
    with frozen(instance.workers):
        took = instance.call("enqueue", size, seconds, function)
        began, before = time.monotonic_ns(), instance.board.count
    instance.board.wait(before + size, patience, 0.01)
    done, ended = instance.board.count - before, instance.board.ended
    if ended <= began:
        raise Failure(f"{instance.peer.title}: none of {size} tasks ran in {patience:g} s")
    return size / took, done / ((ended - began) / 1e9)


def percentile(values: Sequence[float], rank: int) -> float:
    """Return a percentile of the values; they are many, or it is the nearest of the few."""
    if not values:
        return float("inf")
    return sorted(values)[min(len(values) - 1, len(values) * rank // 100)]


def shuffled(items: Sequence[_Item], seed: int) -> list[_Item]:
    """Return the items in another order each round, so that none always follows the same."""
    return random.Random(seed).sample(items, len(items))
