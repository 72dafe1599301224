"""What others hear of periodic jobs: signals, mail to the site's admins, pings to a service.

Nothing here can change what became of a run.
"""

import logging
from datetime import datetime

from django.core.mail import mail_admins

from ..backends import process_options
from ..models import CronRun
from ..signals import cron_failed, cron_finished, cron_late, cron_recovered, cron_started
from .jobs import PeriodicJob
from .lease import Outcome, runs
from .ping import ping

logger = logging.getLogger("django_spooler")


def started(job: PeriodicJob, run: CronRun) -> None:
    """Tell that a run starts."""
    cron_started.send_robust(CronRun, run=run)
    ping(job, "start")


def finished(job: PeriodicJob, run: CronRun, error: BaseException | None) -> None:
    """Tell that a run ended, and whether the job works again."""
    cron_finished.send_robust(CronRun, run=run, exception=error)
    ping(job, "success" if error is None else "fail")
    if error is not None:
        _failed(job, run)
    elif _failed_before(run):
        cron_recovered.send_robust(CronRun, run=run)
        _mail(f"Periodic job {job.name} works again", f"Its run for {run.slot} succeeded.")


def died(job: PeriodicJob, run: CronRun) -> None:
    """Tell that a run's process died, or was frozen."""
    logger.error("Periodic job %s died for %s: %s", job.name, run.slot.isoformat(), run.error)
    ping(job, "fail")
    _failed(job, run)


def late(name: str, slot: datetime, *, missed: bool) -> None:
    """Tell that a slot was not started in time, or never will be."""
    what = "never started" if missed else "has not started yet"
    logger.error("Periodic job %s %s for %s", name, what, slot.isoformat())
    cron_late.send_robust(CronRun, job=name, slot=slot, missed=missed)
    _mail(
        f"Periodic job {name} {what}",
        f"It was due at {slot.isoformat()}. Does any node run the periodic jobs, and is one free?\n"
        "See: python manage.py crons list",
    )


def _failed(job: PeriodicJob, run: CronRun) -> None:
    cron_failed.send_robust(CronRun, run=run, error=run.error)
    if not _failed_before(run):  # once, not at every run of a job that fails each minute
        _mail(f"Periodic job {job.name} failed", f"For {run.slot}, on {run.node}:\n\n{run.error}")


def _failed_before(run: CronRun) -> bool:
    before = (
        runs()
        .filter(
            job=run.job,
            token__lt=run.token,
            outcome__in=(Outcome.SUCCESS, Outcome.FAILED, Outcome.DIED),
        )
        .order_by("-token")
        .values_list("outcome", flat=True)
        .first()
    )
    return before in (Outcome.FAILED, Outcome.DIED)


def _mail(subject: str, text: str) -> None:
    if not process_options().CRON_MAIL:
        return
    try:
        mail_admins(subject, text, fail_silently=False)
    except Exception:
        logger.exception("Mail to ADMINS could not be sent: %s", subject)
