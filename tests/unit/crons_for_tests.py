"""Periodic jobs of the tests; what they do is told to them by ``acts``."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django_spooler.cron import CronContext, cron_job

ran: list[tuple[str, datetime]] = []
"""What ran: the job's name and the slot."""

acts: dict[str, Callable[[CronContext], None]] = {}
"""What a job does beside."""


def _note(context: CronContext) -> None:
    ran.append((context.job, context.slot))
    act = acts.get(context.job)
    if act is not None:
        act(context)


@cron_job(every=timedelta(hours=1), code="hourly")
def hourly(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="queued", overlap="queue")
def queued(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="parallel", overlap="allow")
def parallel(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="complete", catch_up="all")
def complete(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="forgetful", catch_up="none")
def forgetful(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="stubborn", max_attempts=3)
def stubborn(context: CronContext) -> None:
    _note(context)


@cron_job("30 4 * * *", timezone="Asia/Shanghai")
def nightly() -> None:
    ran.append(("nightly", datetime.min))


@cron_job(every=timedelta(hours=1), code="disabled", enabled=False)
def disabled(context: CronContext) -> None:
    _note(context)


@cron_job(every=timedelta(hours=1), code="thorough", overlap="allow", catch_up="all")
def thorough(context: CronContext) -> None:
    _note(context)
