"""django-cron's log, ``CronJobLog``, in step with our history: one row a run, from its start.

A row belongs to the run of its code that started at the same moment. It is a success only once its
run has succeeded under its own lease.
"""

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from ..models import CronRun
from .class_schedule import Last
from .classes import ClassJob
from .lease import patiently, storable

if TYPE_CHECKING:
    Logs = QuerySet[Any]

IN_PROGRESS = "Job in progress\n"
"""The message of a row whose run goes on, as django-cron writes it."""


def alias() -> str:
    """Return the alias of the log's database, as the routers say."""
    return router.db_for_write(_model())


def logs(job: ClassJob) -> "Logs":
    """Return the job's rows, read where they are written."""
    rows: Logs = _model().objects.using(alias())
    return rows.filter(code=job.name)


def last_run(job: ClassJob, until: datetime) -> Last | None:
    """Return the last run as django-cron has it; what is later than ``until`` never was."""
    row = logs(job).filter(start_time__lte=_kept(until)).order_by("-start_time").first()
    return row and Last(_read(row.start_time), failed=not row.is_success)


def has_row(job: ClassJob, run: CronRun) -> bool:
    """Tell whether the row of a run that is over is there, or was deleted by django-cron itself."""
    return (
        job.cron_class.remove_successful_cron_logs  # type: ignore[attr-defined]
        or getattr(settings, "REMOVE_SUCCESSFUL_CRON_LOGS", False)
        or hasattr(settings, "DJANGO_CRON_DELETE_LOGS_OLDER_THAN")
        or logs(job).filter(start_time=_kept(run.start)).exists()
    )


def last_success(job: ClassJob, before: datetime) -> Any:
    """Return the row of the last run that succeeded, None if there is none."""
    rows = logs(job).filter(is_success=True, start_time__lt=_kept(before))
    return rows.order_by("-start_time").first()


def times_done(job: ClassJob, since: datetime) -> set[time]:
    """Return the entries of ``run_at_times`` for which a run since then succeeded."""
    rows = logs(job).filter(is_success=True, start_time__gte=_kept(since))
    return set(rows.exclude(ran_at_time=None).values_list("ran_at_time", flat=True))


def begin(job: ClassJob, run: CronRun, row: Any) -> None:
    """Fill in and insert the row of a run that starts."""
    row.pk = None  # an insertion that was rolled back has left one, which is another row's by now
    row.code = job.name
    row.start_time = row.end_time = _kept(run.start)
    row.ran_at_time = job.schedule.text_of(run.slot)
    row.is_success, row.message = False, IN_PROGRESS
    row.save(using=alias(), force_insert=True)


def end(job: ClassJob, run: CronRun, moment: datetime, message: str, *, succeeded: bool) -> None:
    """Write down in its row how a run ended; make one where it died before it had a row."""
    found = logs(job).filter(start_time=_kept(run.start))
    ended = {
        "is_success": succeeded,
        "message": storable(message),
        "end_time": _kept(moment),
    }
    if not found.update(**ended):
        found.create(
            code=job.name,
            start_time=_kept(run.start),
            ran_at_time=job.schedule.text_of(run.slot),
            **ended,
        )


def clear_old() -> None:
    """Delete the rows that are older than ``DJANGO_CRON_DELETE_LOGS_OLDER_THAN`` days."""
    from django_cron.management.commands.runcrons import clear_old_log_entries

    patiently(clear_old_log_entries, alias())


def _model() -> Any:
    from django_cron.models import CronJobLog

    return CronJobLog


def _kept(instant: datetime) -> datetime:
    """Return an instant as the log's columns take it."""
    zone = timezone.get_default_timezone()
    return instant if settings.USE_TZ else timezone.make_naive(instant, zone)


def _read(value: datetime) -> datetime:
    return value if settings.USE_TZ else timezone.make_aware(value)
