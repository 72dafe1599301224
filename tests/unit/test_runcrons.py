"""``runcrons`` with classes of django-cron under our lock, and with functions."""

import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core import mail
from django.core.management import BaseCommand, CommandError, call_command
from django.db import OperationalError
from django.utils import timezone as django_timezone
from django_cron import CronJobManager
from django_cron.models import CronJobLog

from django_spooler.cron import DatabaseLeaseLock, class_claims, clock, lease, manager
from django_spooler.cron.classes import ClassJob
from django_spooler.exceptions import LeaseLost
from django_spooler.models import CronJob, CronRun

from . import classes_for_tests, crons_for_tests
from .cron_tools import ADMINS, MAILERS, without_tables

pytestmark = pytest.mark.django_db(transaction=True)

CLASSES = "tests.unit.classes_for_tests"
RAN, NOT_DUE, FAILED = "[\N{HEAVY CHECK MARK}]", "[ ]", "[\N{HEAVY BALLOT X}]"


@pytest.fixture(autouse=True)
def our_lock(settings: Any) -> Iterator[None]:
    settings.DJANGO_CRON_LOCK_BACKEND = "django_spooler.cron.DatabaseLeaseLock"
    classes_for_tests.ran.clear()
    yield
    classes_for_tests.acts.clear()


def runcrons(*names: str, **options: Any) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    paths = [f"{CLASSES}.{name}" if name.isidentifier() else name for name in names]
    call_command("runcrons", *paths, stdout=out, **options)
    return out.getvalue()


def move_back(code: str, **by: float) -> None:
    """Let all that the database knows of a job be so much longer ago."""
    step = timedelta(**by)
    for run in CronRun.objects.filter(job=code):
        run.slot -= step
        run.start -= step
        run.save()
    for row in CronJobLog.objects.filter(code=code):
        row.start_time -= step
        row.end_time -= step
        row.save()


def outcomes(code: str) -> list[str]:
    return [run.outcome for run in CronRun.objects.filter(job=code).order_by("token")]


def fail() -> None:
    raise ValueError("as told")


# Due times


def test_class_runs_once_in_its_interval_and_again_after_it() -> None:
    assert f"{RAN} class-hourly" in runcrons("Hourly")
    assert f"{NOT_DUE} class-hourly" in runcrons("Hourly")
    move_back("class-hourly", minutes=59)
    assert f"{NOT_DUE} class-hourly" in runcrons("Hourly")
    move_back("class-hourly", minutes=2)
    assert f"{RAN} class-hourly" in runcrons("Hourly")
    first, second = CronRun.objects.filter(job="class-hourly").order_by("token")
    assert second.slot == first.start + timedelta(hours=1)
    assert outcomes("class-hourly") == ["success", "success"]


@pytest.mark.parametrize(("name", "minutes"), [("Hourly", 1), ("Patient", 30)])
def test_failed_run_is_a_run_and_due_again_after_a_while(name: str, minutes: int) -> None:
    code = f"class-{name.lower()}"
    classes_for_tests.acts[code] = fail
    assert f"{FAILED} {code}" in runcrons(name)
    move_back(code, minutes=minutes, seconds=-5)
    assert f"{NOT_DUE} {code}" in runcrons(name)
    move_back(code, seconds=6)
    classes_for_tests.acts.clear()
    assert f"{RAN} {code}" in runcrons(name)
    assert outcomes(code) == ["failed", "success"]


def test_tolerance_makes_a_job_due_earlier() -> None:
    runcrons("Tolerant")
    move_back("class-tolerant", minutes=49)
    assert NOT_DUE in runcrons("Tolerant")
    move_back("class-tolerant", minutes=2)
    assert RAN in runcrons("Tolerant")


def test_time_of_the_day_runs_once_a_day_and_again_after_a_failure() -> None:
    classes_for_tests.acts["class-midnight"] = fail
    assert FAILED in runcrons("AtMidnight")
    assert NOT_DUE in runcrons("AtMidnight")
    classes_for_tests.acts.clear()
    earlier = CronRun.objects.get(job="class-midnight").start - timedelta(minutes=2)
    CronRun.objects.update(start=earlier)
    CronJobLog.objects.update(start_time=earlier)
    assert RAN in runcrons("AtMidnight")
    assert NOT_DUE in runcrons("AtMidnight")
    first, second = CronRun.objects.filter(job="class-midnight").order_by("token")
    assert (first.slot, first.attempt) == (second.slot, second.attempt - 1)
    assert CronJobLog.objects.filter(code="class-midnight").count() == 2
    assert all(row.ran_at_time for row in CronJobLog.objects.filter(code="class-midnight"))


def test_schedule_may_be_the_instance_s() -> None:
    assert RAN in runcrons("Changing")
    assert NOT_DUE in runcrons("Changing")


def test_class_runs_on_its_days_only() -> None:
    assert f"{NOT_DUE} class-never" in runcrons("Never")


def test_run_under_another_lock_counts() -> None:
    now = django_timezone.now()
    CronJobLog.objects.create(
        code="class-hourly", start_time=now, end_time=now, is_success=True, message=""
    )
    assert NOT_DUE in runcrons("Hourly")
    CronJobLog.objects.update(start_time=now - timedelta(minutes=61))
    assert RAN in runcrons("Hourly")


@pytest.mark.parametrize("name", ["Hourly", "AtMidnight"])
def test_job_is_due_again_once_its_row_of_the_log_is_deleted(name: str) -> None:
    assert RAN in runcrons(name)
    CronJobLog.objects.all().delete()
    assert RAN in runcrons(name)
    assert NOT_DUE in runcrons(name)


def test_job_is_due_again_once_its_row_of_the_log_is_dated_back() -> None:
    runcrons("Hourly")
    CronJobLog.objects.update(start_time=django_timezone.now() - timedelta(minutes=61))
    assert RAN in runcrons("Hourly")
    assert NOT_DUE in runcrons("Hourly")


def test_rows_that_django_cron_deletes_itself_make_no_job_due(settings: Any) -> None:
    settings.DJANGO_CRON_DELETE_LOGS_OLDER_THAN = 0
    runcrons("Hourly")
    assert not CronJobLog.objects.exists()
    assert NOT_DUE in runcrons("Hourly")


def test_clock_that_was_set_back_a_little_makes_no_run_due_again() -> None:
    runcrons("Hourly")
    move_back("class-hourly", minutes=-5)
    assert NOT_DUE in runcrons("Hourly")
    move_back("class-hourly", days=-1000)
    assert RAN in runcrons("Hourly")


def test_job_whose_row_was_deleted_goes_on_with_its_history() -> None:
    runcrons("Hourly")
    CronJob.objects.all().delete()
    assert NOT_DUE in runcrons("Hourly")
    assert RAN in runcrons("Hourly", force=True)


def test_paused_class_does_not_run() -> None:
    runcrons("Hourly", dry_run=True)
    CronJob.objects.filter(name="class-hourly").update(paused=True)
    assert NOT_DUE in runcrons("Hourly")
    assert classes_for_tests.ran == []


# The command


def test_command_without_names_runs_classes_and_functions(settings: Any) -> None:
    settings.CRON_CLASSES = [f"{CLASSES}.Hourly"]
    said = runcrons(force=True)
    assert f"{RAN} class-hourly" in said
    assert f"{RAN} hourly" in said
    assert "disabled" not in said


def test_function_is_run_by_its_name_alone() -> None:
    crons_for_tests.ran.clear()
    out = io.StringIO()
    call_command("runcrons", "hourly", stdout=out, force=True)
    assert f"{RAN} hourly" in out.getvalue()
    assert [name for name, _ in crons_for_tests.ran] == ["hourly"]


def test_force_runs_within_a_slot_and_is_a_run_of_its_own() -> None:
    assert runcrons("Hourly", force=True).count(RAN) == 1
    assert runcrons("Hourly", force=True).count(RAN) == 1
    assert classes_for_tests.ran == ["class-hourly"] * 2
    assert outcomes("class-hourly") == ["success"] * 2


def test_dry_run_tells_what_is_due_and_takes_no_slot() -> None:
    assert f"{RAN} class-hourly" in runcrons("Hourly", dry_run=True)
    assert classes_for_tests.ran == []
    assert not CronRun.objects.exists()
    assert not CronJobLog.objects.exists()
    assert f"{RAN} class-hourly" in runcrons("Hourly")


def test_silent_command_prints_nothing() -> None:
    classes_for_tests.acts["class-parallel"] = fail
    assert runcrons("Hourly", "Parallel", silent=True) == ""
    assert runcrons("Hourly", "Parallel", silent=True) == ""


def test_what_names_no_job_is_told_and_the_others_run() -> None:
    said = runcrons("no.such.Job", "Hourly")
    assert "Make sure these are valid cron class names" in said
    assert "no.such.Job" in said
    assert f"{RAN} class-hourly" in said


def test_old_rows_of_the_log_are_deleted(settings: Any) -> None:
    settings.DJANGO_CRON_DELETE_LOGS_OLDER_THAN = 1
    runcrons("Hourly")
    move_back("class-hourly", days=2)
    runcrons("Parallel")
    assert [row.code for row in CronJobLog.objects.all()] == ["class-parallel"]


def test_django_crons_function_and_manager_run_a_class_under_the_lease_too() -> None:
    with CronJobManager(classes_for_tests.Hourly, silent=True) as found:
        found.run()
    assert outcomes("class-hourly") == ["success"]


# django-cron's log


def test_row_is_no_success_while_the_job_runs() -> None:
    def look() -> str:
        row = CronJobLog.objects.get(code="class-hourly")
        assert not row.is_success
        assert "in progress" in row.message
        return "done, \0 and \udc80"

    classes_for_tests.acts["class-hourly"] = look
    assert RAN in runcrons("Hourly")
    row = CronJobLog.objects.get(code="class-hourly")
    assert row.is_success
    assert "done" in row.message
    run = CronRun.objects.get(job="class-hourly")
    assert (row.start_time, run.outcome) == (run.start, "success")


def test_failed_run_has_its_traceback_in_the_log_and_in_the_history() -> None:
    def fail_strangely() -> None:
        raise ValueError("with \0 and \udc80 in it")

    classes_for_tests.acts["class-hourly"] = fail_strangely
    runcrons("Hourly")
    row, run = CronJobLog.objects.get(), CronRun.objects.get()
    assert not row.is_success
    for text in (row.message, run.error):
        assert "Traceback" in text and "ValueError: with" in text


def test_refused_run_leaves_no_row_and_says_who_is_at_it() -> None:
    verdict = class_claims.claim(ClassJob(classes_for_tests.Hourly))
    assert verdict.run is not None
    for options in ({}, {"force": True}, {"dry_run": True}):
        said = runcrons("Hourly", **options)
        assert "classes_for_tests.Hourly: lock found" in said
        assert verdict.run.node in said
    assert not CronJobLog.objects.exists()
    assert CronRun.objects.count() == 1


def test_rows_of_earlier_successes_go_where_that_is_asked_for() -> None:
    classes_for_tests.acts["class-one-row"] = fail
    runcrons("LeavesOneRow", force=True)
    classes_for_tests.acts.clear()
    for _ in range(3):
        runcrons("LeavesOneRow", force=True)
    rows = CronJobLog.objects.filter(code="class-one-row").order_by("start_time")
    assert [row.is_success for row in rows] == [False, True]


def test_failures_in_a_row_are_mailed_by_django_crons_own_job(settings: Any) -> None:
    settings.ADMINS, settings.MAILERS = ADMINS, MAILERS
    settings.CRON_CLASSES = [f"{CLASSES}.Watched"]
    classes_for_tests.acts["class-watched"] = fail
    for sent in (0, 1):
        runcrons("Watched", force=True)
        mail.outbox.clear()
        runcrons("django_cron.cron.FailedRunsNotificationCronJob", force=True)
        assert len([m for m in mail.outbox if "failed 2 times in a row" in m.subject]) == sent


def test_run_that_goes_on_is_no_failure_in_a_row(settings: Any) -> None:
    def look() -> None:
        runcrons("django_cron.cron.FailedRunsNotificationCronJob", force=True)

    settings.ADMINS, settings.MAILERS = ADMINS, MAILERS
    settings.CRON_CLASSES = [f"{CLASSES}.Watched"]
    for act in (fail, look):
        classes_for_tests.acts["class-watched"] = act
        runcrons("Watched", force=True)
    assert not [m for m in mail.outbox if "in a row" in m.subject]


def test_tables_that_a_class_needs_are_told_with_the_remedy() -> None:
    said = io.StringIO()
    with without_tables():
        assert f"{FAILED} class-hourly" in runcrons("Hourly", stderr=said)
    assert "Run manage.py migrate" in said.getvalue()


def test_checks_that_the_database_fails_end_with_one_sentence(monkeypatch: Any) -> None:
    def be_away(*args: Any, **options: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(BaseCommand, "check", be_away)
    with pytest.raises(CommandError, match=r"The database does not answer .*connection refused"):
        runcrons(skip_checks=False)


def test_class_may_be_named_by_its_path(settings: Any) -> None:
    path = f"{CLASSES}.Hourly"
    settings.CRON_CLASSES = [path]
    runcrons("Hourly")
    out = io.StringIO()
    call_command("crons", "history", path, stdout=out)
    call_command("crons", "pause", path, stdout=out)
    shown, paused = out.getvalue().splitlines()
    assert shown.startswith("class-hourly  success")
    assert paused == "class-hourly is paused"


# Leases


def expire(code: str) -> None:
    """Let the lease of the job's runs be over."""
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    CronRun.objects.filter(job=code, outcome__in=lease.ALIVE).update(expires=past)


def test_run_that_was_taken_over_is_settled_by_its_new_owner_alone() -> None:
    def be_taken_over() -> None:
        expire("class-hourly")
        classes_for_tests.acts.clear()
        assert f"{RAN} class-hourly" in runcrons("Hourly")

    classes_for_tests.acts["class-hourly"] = be_taken_over
    assert f"{FAILED} class-hourly" in runcrons("Hourly")
    dead, alive = CronRun.objects.filter(job="class-hourly").order_by("token")
    assert (dead.outcome, alive.outcome) == ("died", "success")
    assert (dead.slot, dead.attempt + 1) == (alive.slot, alive.attempt)
    first, second = CronJobLog.objects.order_by("start_time")
    assert (first.is_success, second.is_success) == (False, True)
    assert "LeaseLost" in first.message


def test_run_that_died_before_it_had_a_row_gets_one() -> None:
    class_claims.claim(ClassJob(classes_for_tests.Hourly))
    expire("class-hourly")
    runcrons("Hourly")
    dead, alive = CronJobLog.objects.order_by("start_time")
    assert (dead.is_success, alive.is_success) == (False, True)
    assert "not heard of" in dead.message


def test_run_that_was_taken_over_before_it_had_a_row_is_not_made(settings: Any) -> None:
    run = class_claims.claim(ClassJob(classes_for_tests.Hourly)).run
    expire("class-hourly")
    runcrons("Hourly")
    with manager.LeasedManager(classes_for_tests.Hourly, silent=True) as late:
        late.claimed = run
        late.run()
    assert isinstance(late.error, LeaseLost)
    assert classes_for_tests.ran == ["class-hourly"]
    assert CronJobLog.objects.count() == 2


def test_job_that_kills_its_process_waits_as_after_a_failure() -> None:
    for _ in range(3):
        assert class_claims.claim(ClassJob(classes_for_tests.Patient)).run is not None
        expire("class-patient")
    assert f"{NOT_DUE} class-patient" in runcrons("Patient")
    assert outcomes("class-patient") == ["died"] * 3
    assert CronJobLog.objects.filter(code="class-patient", is_success=False).count() == 3


def test_next_due_time_is_claimed_beside_a_run_where_parallel_runs_are_allowed() -> None:
    job = ClassJob(classes_for_tests.Parallel)
    first = class_claims.claim(job).run
    assert first is not None
    assert class_claims.claim(job).run is None
    CronRun.objects.update(start=first.start - timedelta(minutes=61))
    second = class_claims.claim(job).run
    assert second is not None and second.slot != first.slot
    assert class_claims.claim(job).run is None


def test_claim_tells_when_to_look_again() -> None:
    job = ClassJob(classes_for_tests.Hourly)
    verdict = class_claims.claim(job)
    assert verdict.run is not None and verdict.look_at is not None
    assert verdict.look_at - verdict.run.start == timedelta(hours=1)
    again = class_claims.claim(job)
    assert again.run is None and again.holder is not None
    assert class_claims.claim(ClassJob(classes_for_tests.Never)).look_at is None


def test_claimed_run_is_run_by_another_process() -> None:
    job = ClassJob(classes_for_tests.Hourly)
    run = class_claims.claim(job, begin=False).run
    assert run is not None
    assert manager.run_claimed(job, run) is None
    assert outcomes("class-hourly") == ["success"]
    with pytest.raises(LeaseLost):
        manager.run_claimed(job, run)


@pytest.mark.parametrize(
    ("attributes", "setting", "expected"),
    [
        ({}, None, None),
        ({}, 100, 100),
        ({"DJANGO_CRON_LOCK_TIME": 20}, 100, 20),
        ({"DJANGO_CRON_LOCK_TIME": 20, "lease": 10}, 100, 10),
        ({"lease": 0.5}, None, 0.5),
    ],
)
def test_lease_is_the_class_s_own_or_django_crons_lock_time(
    settings: Any, attributes: dict[str, Any], setting: int | None, expected: float | None
) -> None:
    if setting is not None:
        settings.DJANGO_CRON_LOCK_TIME = setting
    assert ClassJob(type("Job", (classes_for_tests.Hourly,), attributes)).lease == expected


# The lock by itself


def test_lock_lets_one_holder_in_at_a_time_and_is_a_run_of_the_history() -> None:
    lock = DatabaseLeaseLock(classes_for_tests.Hourly, silent=True)
    other = DatabaseLeaseLock(classes_for_tests.Hourly, silent=True)
    with lock:
        assert not other.lock()
        with pytest.raises(DatabaseLeaseLock.LockFailedException, match="lock found"), other:
            pass
    with pytest.raises(ValueError, match="as told"), other:
        fail()
    assert outcomes("class-hourly") == ["success", "failed"]


def test_holder_of_the_lock_who_was_taken_for_dead_is_told() -> None:
    lock = DatabaseLeaseLock(classes_for_tests.Hourly, silent=True)
    assert lock.lock()
    expire("class-hourly")
    other = DatabaseLeaseLock(classes_for_tests.Hourly, silent=True)
    assert other.lock()
    with pytest.raises(LeaseLost):
        lock.release()
    other.release()
    assert outcomes("class-hourly") == ["died", "success"]


# Several databases


class LogElsewhere:
    """Keeps django-cron's log in another database than ours."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "other" if model._meta.app_label == "django_cron" else None

    db_for_write = db_for_read


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_log_may_be_in_another_database_than_the_history(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.LogElsewhere"]
    assert RAN in runcrons("Hourly")
    classes_for_tests.acts["class-parallel"] = fail
    assert FAILED in runcrons("Parallel")
    assert NOT_DUE in runcrons("Hourly")
    rows = CronJobLog.objects.using("other").order_by("start_time")
    assert [row.is_success for row in rows] == [True, False]
    assert not CronJobLog.objects.using("default").exists()
    assert not CronRun.objects.using("other").exists()
    assert outcomes("class-hourly") == ["success"]


# Outages


def test_no_run_is_taken_over_when_the_database_has_just_come_back(monkeypatch: Any) -> None:
    def be_away() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(lease, "_outage", {"last": -1e9})
    class_claims.claim(ClassJob(classes_for_tests.Hourly))
    expire("class-hourly")
    with pytest.raises(OperationalError):
        lease.patiently(be_away)
    assert "lock found" in runcrons("Hourly")
    monkeypatch.setattr(lease, "PATIENCE", 0)
    assert RAN in runcrons("Hourly")
    assert outcomes("class-hourly") == ["died", "success"]


def test_uptime_of_the_database_is_known() -> None:
    assert clock.uptime(lease.database()) > 3
