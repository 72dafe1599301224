"""One pass over the periodic jobs, as ``runcrons`` makes it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connections

from django_spooler.cron import claims, overview, runner
from django_spooler.cron.jobs import PeriodicJob, all_jobs, find_job
from django_spooler.cron.runner import Report
from django_spooler.models import CronJob, CronRun

from . import crons_for_tests

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forget")]

HOUR = timedelta(hours=1)


def make_due(hours: int = 1) -> None:
    """Let every hourly job have been decided on for the last time so many hours ago."""
    list(runner.run_due())
    for row in CronJob.objects.all():
        assert row.slot is not None
        CronJob.objects.filter(name=row.name).update(slot=row.slot - hours * HOUR)


def reports_of(name: str, *, force: bool = False, dry_run: bool = False) -> list[Report]:
    found = list(runner.run_due(force=force, dry_run=dry_run))
    return [report for report in found if report.job == name]


def test_pass_runs_what_is_due_and_nothing_twice() -> None:
    make_due()
    (report,) = reports_of("hourly")
    assert report.due and report.error is None and report.run is not None
    assert report.run.outcome == "success"
    (report,) = reports_of("hourly")
    assert report == Report("hourly")
    assert [name for name, _ in crons_for_tests.ran].count("hourly") == 1


def test_pass_reports_each_job_that_is_not_disabled() -> None:
    names = {report.job for report in runner.run_due()}
    assert names == {job.name for job in all_jobs() if job.enabled}
    assert "disabled" not in names


def test_pass_tells_what_failed_and_goes_on() -> None:
    def leave(context: object) -> None:
        raise SystemExit(3)

    make_due()
    crons_for_tests.acts["hourly"] = leave
    (report,) = reports_of("hourly")
    assert isinstance(report.error, SystemExit)
    assert CronRun.objects.get(job="hourly").outcome == "failed"
    assert "queued" in [name for name, _ in crons_for_tests.ran]


def test_forced_pass_runs_what_is_not_due() -> None:
    (report,) = reports_of("hourly", force=True)
    assert report.run is not None and report.run.outcome == "success"


def test_dry_run_tells_what_is_due_and_takes_no_slot() -> None:
    make_due()
    assert reports_of("hourly", dry_run=True) == [Report("hourly", due=True)]
    assert not CronRun.objects.exists()
    (report,) = reports_of("hourly")
    assert report.run is not None


def test_timeout_that_cannot_be_kept_is_told(caplog: pytest.LogCaptureFixture) -> None:
    job = find_job("hourly")
    assert job is not None
    claims.introduce([job])
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(_run_in_thread, replace(job, timeout=60)).result()
    assert report.error is None
    assert "The timeout of hourly, 60 s, is not kept" in caplog.text


def _run_in_thread(job: PeriodicJob) -> Report:
    try:
        return runner.run_now(job)
    finally:
        connections["default"].connection.close()  # Django leaves one to memory open


def test_every_slot_of_a_job_that_catches_up_runs_in_one_pass() -> None:
    make_due(3)
    assert len(reports_of("complete")) == 3


def test_slots_that_may_overlap_run_one_after_the_other_in_one_process() -> None:
    make_due(3)
    running = []

    def count(context: object) -> None:
        running.append(CronRun.objects.filter(job="thorough", outcome="running").count())

    crons_for_tests.acts["thorough"] = count
    assert len(reports_of("thorough")) == 3
    assert running == [1, 1, 1]


def test_site_without_time_zones_has_the_same_slots(settings: Any) -> None:
    make_due()
    settings.USE_TZ = False
    (report,) = reports_of("hourly")
    assert report.run is not None and report.run.slot.timestamp() % 3600 == 0
    assert report.run.slot <= datetime.now(timezone.utc)
    (run,) = overview.history("hourly")
    assert run.start is not None and abs(run.start - datetime.now(timezone.utc)) < HOUR


class ToOther:
    """Keeps what is ours in another database."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "other" if model in (CronJob, CronRun) else None

    db_for_write = db_for_read


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_runs_are_kept_in_the_database_that_a_router_names(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.ToOther"]
    make_due()
    (report,) = reports_of("hourly")
    assert report.run is not None and report.run.outcome == "success"
    assert CronRun.objects.using("other").filter(job="hourly").exists()
    assert not CronRun.objects.using("default").exists()
    assert not CronJob.objects.using("default").exists()
