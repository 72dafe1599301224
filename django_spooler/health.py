"""A page that answers 200 or 503, for load balancers, containers and monitors."""

import time

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .backends import served_directories
from .exceptions import SpoolerError
from .overview import processes
from .spool.directory import ALL_QUEUES, Spool
from .spool.listing import count, tally

MAX_AGE = 300.0
"""Seconds the oldest ready task may wait by default."""


@never_cache
@login_not_required
@require_safe
def health(
    request: HttpRequest, *, max_age: float | None = MAX_AGE, max_failed: int | None = None
) -> JsonResponse:
    """Answer 200 where this site's tasks run, else 503; the body tells which part fails, no data.

    It fails where no process serves a directory, a ready task of a queue that is not paused waits
    for more than ``max_age`` seconds, or more than ``max_failed`` tasks stand in ``failed``. None is
    no limit. Both are given in the URLconf: ``path("health/spooler/", health, {"max_age": 60})``.
    """
    try:
        spools = [Spool(directory) for directory in served_directories()]
        parts = {
            "spooler": all(processes(spool) for spool in spools),
            "waiting": max_age is None or all(_oldest(spool) <= max_age for spool in spools),
            "failed": max_failed is None or _failed(spools, max_failed) <= max_failed,
        }
    except (SpoolerError, OSError):  # wrong settings, or a directory this user may not look into
        parts = dict.fromkeys(("spooler", "waiting", "failed"), False)
    healthy = all(parts.values())
    return JsonResponse({"healthy": healthy, **parts}, status=200 if healthy else 503)


def _oldest(spool: Spool) -> float:
    """Return the seconds that the oldest ready task waits which may run."""
    paused = spool.paused()
    if ALL_QUEUES in paused:
        return 0.0
    first = [
        found.oldest
        for queue, found in tally(spool, "ready").items()
        if found.oldest and queue not in paused
    ]
    return time.time() - min(first) if first else 0.0


def _failed(spools: list[Spool], most: int) -> int:
    return sum(count(spool, "failed", most + 1) for spool in spools)
