"""The queue for Prometheus, through ``prometheus-client`` (``django-spooler[prometheus]``).

Nothing is counted for it: it reads what the processes that run tasks have counted beside the queue, so
any process of the site may be asked, and all tell the same.
"""

import time
from collections.abc import Iterator
from itertools import accumulate

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .backends import served_directories
from .overview import failed_by_queue, paused, processes
from .spool.counts import BOUNDS, ENDS, Counted, counted
from .spool.directory import Spool
from .spool.listing import STATES, Tally, tally

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "django_spooler.metrics needs prometheus-client: pip install 'django-spooler[prometheus]'"
    ) from error

_BOUNDS = (*map(str, BOUNDS), "+Inf")


class SpoolerCollector(Collector):
    """Tells of this site's spool directories: ``REGISTRY.register(SpoolerCollector())``."""

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without a value: registering it reads nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        directories = served_directories()
        spools = {Spool(directory): queues for directory, queues in directories.items()}
        yield from _standing(spools)
        yield from _serving(spools)
        yield from _run(counted(spools))


@never_cache
@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics of django-spooler alone, in Prometheus's text format.

    It asks for no login and tells the names of tasks and queues: let only the monitor reach it.
    """
    registry = CollectorRegistry()
    registry.register(SpoolerCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _standing(spools: dict[Spool, list[str]]) -> Iterator[Metric]:
    """Yield what stands in the directories; where the queue of a failed task is not known, it is ""."""
    labels = ["queue", "state"]
    number = GaugeMetricFamily("django_spooler_tasks", "Tasks, by queue and state.", labels=labels)
    oldest = GaugeMetricFamily(
        "django_spooler_oldest_seconds",
        "Seconds since the first of them became ready or failed; below 0 until one is due.",
        labels=labels,
    )
    now = time.time()
    for state in STATES:
        for queue, its in _tallies(spools, state).items():
            number.add_metric([queue, state], its.count)
            if its.oldest is not None:
                oldest.add_metric([queue, state], now - its.oldest)
    yield number
    yield oldest


def _tallies(spools: dict[Spool, list[str]], state: str) -> dict[str, Tally]:
    """Return the tallies of a state over all directories, empty ones for queues without a task."""
    known = [queue for names in spools.values() for queue in names]
    if state == "failed":
        known.append("")
    total = {queue: Tally() for queue in known}
    for spool in spools:
        found = failed_by_queue(spool) if state == "failed" else tally(spool, state)
        for queue, its in found.items():
            total.setdefault(queue, Tally()).add(its.count, its.oldest)
    return total


def _serving(spools: dict[Spool, list[str]]) -> Iterator[Metric]:
    living = GaugeMetricFamily(
        "django_spooler_processes", "Processes that run tasks, by directory.", labels=["directory"]
    )
    stopped = GaugeMetricFamily(
        "django_spooler_paused", "1 for a queue that is paused, else 0.", labels=["queue"]
    )
    for spool, queues in spools.items():
        living.add_metric([spool.directory], len(processes(spool)))
        marks = paused(spool, queues)
        for queue in queues:
            stopped.add_metric([queue], queue in marks)
    yield living
    yield stopped


def _run(total: Counted) -> Iterator[Metric]:
    started = CounterMetricFamily(
        "django_spooler_started", "Tries that started, by task.", labels=["task"]
    )
    ended = {
        end: CounterMetricFamily(
            f"django_spooler_{end}", f"Tries that {_WORDS[end]}, by task.", labels=["task"]
        )
        for end in ENDS
    }
    waited = HistogramMetricFamily(
        "django_spooler_wait_seconds",
        "Seconds from when a task became ready until it started.",
        labels=["task"],
    )
    ran = HistogramMetricFamily(
        "django_spooler_run_seconds", "Seconds that a try took.", labels=["task"]
    )
    for task, its in total.tasks.items():
        started.add_metric([task], its.started)
        for end, number in zip(ENDS, its.ended, strict=True):
            ended[end].add_metric([task], number)
        _add_histogram(waited, task, its.waited, its.waited_sum)
        _add_histogram(ran, task, its.ran, its.ran_sum)
    yield from (started, *ended.values(), waited, ran)


_WORDS = {
    "succeeded": "succeeded",
    "failed": "put the task into failed",
    "retried": "failed and are followed by another",
    "discarded": "ended by one of the task's discard_on",
}


def _add_histogram(
    family: HistogramMetricFamily, task: str, numbers: list[int], total: float
) -> None:
    buckets = list(zip(_BOUNDS, accumulate(numbers), strict=True))
    family.add_metric([task], buckets, sum_value=total)
