"""What the tests of periodic jobs share: jobs of which slots have come that nobody has decided on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import django
from django.core.management import call_command

from django_spooler.cron import claims, lease
from django_spooler.cron.jobs import PeriodicJob, find_job
from django_spooler.models import CronJob, CronRun

HOUR = timedelta(hours=1)

ADMINS: Any = ["ada@example.org"] if django.VERSION >= (6, 0) else [("Ada", "ada@example.org")]
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
"""Without it Django 6.1 warns of mail."""


def job_seen(name: str, hours_ago: int) -> PeriodicJob:
    """Return an hourly job whose last decision was ``hours_ago`` slots ago."""
    job = find_job(name)
    assert job is not None
    claims.introduce([job])
    row = CronJob.objects.get(name=name)
    assert row.slot is not None
    CronJob.objects.filter(name=name).update(slot=row.slot - hours_ago * HOUR)
    return job


@contextmanager
def without_tables() -> Iterator[None]:
    """Let the database lack the tables of periodic jobs; it was not away for all that."""
    call_command("migrate", "django_spooler", "zero", verbosity=0)
    try:
        with patch.dict(lease._outage):
            yield
    finally:
        call_command("migrate", "django_spooler", verbosity=0)


def expire(name: str) -> None:
    """Let the lease of the job's runs be over."""
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    CronRun.objects.filter(job=name, outcome__in=lease.ALIVE).update(expires=past)
