"""The admin's pages of periodic jobs: what they show, to whom, and what they do."""

from dataclasses import replace

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.utils.html import escape

from django_spooler.cron import jobs, overview, runner
from django_spooler.cron.periodic import register_tasks
from django_spooler.models import CronJob, CronRun
from django_spooler.tasks import find_task

from . import crons_for_tests
from .cron_tools import job_seen

JOBS = "/admin/django_spooler/cronjob/"
HOSTILE = '<script>alert("x")</script>'
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget():
    crons_for_tests.acts.clear()
    yield
    crons_for_tests.acts.clear()


@pytest.fixture
def log_in_with(client):
    """Log in a staff user with these permissions only."""

    def log_in_with(*permissions: str):
        user = User.objects.create(username="-".join(permissions) or "nobody", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in_with


def page_of(name):
    return f"{JOBS}{quote(name)}/change/"


def state_of(name):
    return overview.job_state(name).state


def act(client, action, name):
    return client.post(f"{JOBS}act/", {"action": action, "job": name}, follow=True)


def test_jobs_are_listed_with_schedule_and_state(log_in_with):
    shown = log_in_with("view_cronjob").get(JOBS).content.decode()
    for text in ("hourly", "every hour", "waiting", "disabled in the code"):
        assert text in shown
    assert 'name="action"' not in shown


def test_changed_schedule_shows_at_once(log_in_with, monkeypatch):
    client = log_in_with("view_cronjob")
    client.get(JOBS)
    job = jobs.find_job("hourly")
    others = next(job for job in jobs.all_jobs() if job.name.endswith("nightly")).schedule
    monkeypatch.setattr(jobs, "_registry", {job.name: replace(job, schedule=others)})
    shown = client.get(JOBS).content.decode()
    assert escape(others.in_words()) in shown and "every hour" not in shown


def test_page_of_a_job_tells_times_and_runs(log_in_with):
    def fail(context):
        raise ValueError(HOSTILE)

    crons_for_tests.acts["hourly"] = fail
    runner.run_now(job_seen("hourly", 0))
    client = log_in_with("view_cronjob", "view_cronrun")
    shown = client.get(page_of("hourly")).content.decode()
    assert "Failed" in shown
    assert "<script>alert" not in shown and "&lt;script&gt;alert" in shown
    runs = client.get("/admin/django_spooler/cronrun/?job__exact=hourly&q=script")
    assert runs.status_code == 200
    (run,) = CronRun.objects.all()
    detail = client.get(f"/admin/django_spooler/cronrun/{run.pk}/change/").content.decode()
    assert "<script>alert" not in detail and "&lt;script&gt;alert" in detail


def test_unknown_job_is_not_found(log_in_with):
    client = log_in_with("view_cronjob", "run_cronjob")
    assert client.get(page_of(HOSTILE)).status_code == 404
    assert act(client, "run", HOSTILE).status_code == 404


def test_job_that_left_the_code_keeps_its_runs(log_in_with):
    runner.run_now(job_seen("hourly", 0))
    CronRun.objects.update(job="removed")
    shown = log_in_with("view_cronjob").get(page_of("removed")).content.decode()
    assert "The code has no such job any more." in shown
    assert "Success" in shown


@pytest.mark.parametrize(
    ("action", "permission"),
    [("run", "run_cronjob"), ("pause", "pause_cronjob"), ("resume", "pause_cronjob")],
)
def test_actions_need_their_own_permission_and_a_post(log_in_with, action, permission):
    others = {"view_cronjob", "run_cronjob", "pause_cronjob", "view_cronrun"} - {permission}
    client = log_in_with(*others)
    assert act(client, action, "hourly").status_code == 403
    assert act(log_in_with(permission), action, "hourly").status_code == 403  # sees no jobs
    assert log_in_with("view_cronjob", permission).get(f"{JOBS}act/").status_code == 405
    assert not LogEntry.objects.exists()
    assert not CronJob.objects.filter(paused=True).exists()


def test_job_is_paused_and_resumed_and_that_is_logged(log_in_with):
    client = log_in_with("view_cronjob", "pause_cronjob")
    act(client, "pause", "hourly")
    assert state_of("hourly") == "paused"
    assert 'value="resume"' in client.get(page_of("hourly")).content.decode()
    act(client, "resume", "hourly")
    assert state_of("hourly") == "waiting"
    told = [(entry.object_repr, entry.change_message) for entry in LogEntry.objects.order_by("pk")]
    assert told == [("hourly", "Paused."), ("hourly", "Resumed.")]
    assert "It was not paused." in act(client, "resume", "hourly").content.decode()


def test_job_is_run_now(log_in_with):
    client = log_in_with("view_cronjob", "run_cronjob")
    act(client, "run", "hourly")
    (run,) = CronRun.objects.filter(job="hourly")
    assert run.outcome == "success"
    assert LogEntry.objects.get().object_id == "hourly"


def test_job_is_not_enqueued_by_hand_as_a_task(log_in_with):
    client = log_in_with("view_task", "enqueue_task")
    name = next(job.name for job in jobs.all_jobs() if job.name.endswith("nightly"))
    register_tasks()
    assert find_task(name) is not None
    shown = client.get("/admin/django_spooler/task/enqueue/").content.decode()
    assert name not in shown and "django_spooler.canary" not in shown
    assert (
        b"parameter-" not in client.get(f"/admin/django_spooler/task/enqueue/?task={name}").content
    )
