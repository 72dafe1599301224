"""The runs that were: how long they are kept."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q

from ..backends import process_options
from .clock import now
from .lease import ALIVE, Outcome, database, jobs, patiently, runs


def tidy(names: Iterable[str]) -> None:
    """Delete the runs of these jobs that are too old, or too many; none that is not over, nor the last."""
    options = process_options()
    for row in jobs().filter(name__in=list(names)):
        wanted = Q()
        if options.CRON_HISTORY_MAX_AGE is not None:
            age = timedelta(seconds=options.CRON_HISTORY_MAX_AGE)
            wanted |= Q(slot__lt=now(database()) - age)
        if options.CRON_HISTORY_MAX_COUNT is not None:
            wanted |= Q(token__lte=row.token - options.CRON_HISTORY_MAX_COUNT)
        if not wanted:
            return
        over = runs().filter(job=row.name, expires=None).exclude(token=row.started)
        over = over.exclude(outcome__in=(*ALIVE, Outcome.QUEUED))
        patiently(over.filter(wanted).delete)
