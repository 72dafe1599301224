"""What others hear of periodic jobs: signals, mail to the site's admins, pings to a service.

Nothing here can change what became of a run: what fails is logged.
"""

import functools
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import ParamSpec

from django.db.models import F

from ..backends import process_options
from ..instants import MICROSECOND
from ..models import CronRun
from ..signals import cron_failed, cron_finished, cron_late, cron_recovered, cron_started
from .claims import Claims
from .jobs import Job, PeriodicJob
from .lease import Outcome, runs
from .notices import mail_to_admins, ping

P = ParamSpec("P")

logger = logging.getLogger("django_spooler")

_AGAIN = timedelta(days=1)
"""After which a job that is late, and was before, is worth another mail."""


def _harmless(announce: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(announce)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            announce(*args, **kwargs)
        except Exception:
            logger.exception("A periodic job could not be announced")

    return guarded


@_harmless
def started(job: Job, run: CronRun) -> None:
    """Tell that a run starts."""
    cron_started.send_robust(CronRun, run=run)
    ping(job, "start")


@_harmless
def finished(job: Job, run: CronRun, error: BaseException | None) -> None:
    """Tell that a run ended, and whether the job works again."""
    cron_finished.send_robust(CronRun, run=run, exception=error)
    ping(job, "success" if error is None else "fail")
    if error is not None:
        _failed(job, run)
    elif _failed_before(run):
        cron_recovered.send_robust(CronRun, run=run)
        _mail(f"Periodic job {job.name} works again", f"Its run for {run.slot} succeeded.")


@_harmless
def decided(job: PeriodicJob, found: Claims) -> None:
    """Tell what went wrong with a job, as it was found when its slots were decided on."""
    died(job, found.died)
    missed = [run.slot for run in found.missed if run.job == job.name]
    if missed:
        _late(job.name, missed, "was not started", missed=True)
    bound = timedelta(seconds=process_options().CRON_LATE)
    behind = [
        run.slot
        for run in found.claimed
        if run.job == job.name
        and run.attempt == 1
        and found.now - run.slot - job.delay(run.slot) > bound
    ]
    if behind:
        _late(job.name, behind, "started late", missed=False)


@_harmless
def never_started(name: str, slot: datetime) -> None:
    """Tell that a slot has come long ago and no node has started it."""
    _late(name, [slot], "has not been started", missed=False)


@_harmless
def died(job: Job, runs: Iterable[CronRun]) -> None:
    """Tell of those of the runs that are the job's, and were taken over."""
    for run in runs:
        if run.job == job.name:
            logger.error("Periodic job %s died for %s: %s", job.name, run.slot, run.error)
            ping(job, "fail")
            _failed(job, run)


def _late(name: str, slots: list[datetime], what: str, *, missed: bool) -> None:
    logger.error("Periodic job %s %s for %s", name, what, _in_words(slots))
    for slot in slots:
        cron_late.send_robust(CronRun, job=name, slot=slot, missed=missed)
    if not _was_late_before(name, slots[0]):
        _mail(
            f"Periodic job {name} {what}",
            f"It was due at {_in_words(slots)}. Does any node run the periodic jobs, and is one"
            f" free?\nFor a day there is no other mail about this.\n"
            f"See: python manage.py crons history {name}",
        )


def _in_words(slots: list[datetime]) -> str:
    first = slots[0].isoformat()
    return first if len(slots) == 1 else f"{first} and {len(slots) - 1} times after it"


def _was_late_before(name: str, slot: datetime) -> bool:
    bound = timedelta(seconds=process_options().CRON_LATE)
    before = runs().filter(job=name, slot__lt=slot, slot__gte=slot - _AGAIN)
    return (
        before.filter(outcome=Outcome.MISSED).exists()
        or before.filter(attempt=1, start__gt=F("slot") + bound // MICROSECOND).exists()
    )


def _failed(job: Job, run: CronRun) -> None:
    cron_failed.send_robust(CronRun, run=run, error=run.error)
    if not _failed_before(run):  # once, not at every run of a job that fails each minute
        _mail(f"Periodic job {job.name} failed", f"For {run.slot}, on {run.node}:\n\n{run.error}")


def _failed_before(run: CronRun) -> bool:
    ended = (Outcome.SUCCESS, Outcome.FAILED, Outcome.DIED)
    before = runs().filter(job=run.job, token__lt=run.token, outcome__in=ended)
    outcome = before.order_by("-token").values_list("outcome", flat=True).first()
    return outcome in (Outcome.FAILED, Outcome.DIED)


def _mail(subject: str, text: str) -> None:
    if process_options().CRON_MAIL:
        mail_to_admins(subject, text)
