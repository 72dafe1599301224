"""Who hears of a periodic job that fails, recovers, dies, or starts late: receivers, ADMINS, a service."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db.models import F

from django_spooler import signals
from django_spooler.cron import claims, jobs, runner
from django_spooler.instants import EPOCH
from django_spooler.models import CronJob, CronRun

from . import crons_for_tests
from .cron_tools import ADMINS, HOUR, MAILERS, expire, job_seen

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("cron_started", "cron_finished", "cron_failed", "cron_recovered", "cron_late")


@pytest.fixture(autouse=True)
def site(settings: Any) -> Iterator[None]:
    settings.ADMINS, settings.MAILERS = ADMINS, MAILERS
    crons_for_tests.acts.clear()
    yield
    crons_for_tests.acts.clear()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return what the receivers have heard."""
    found: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for name in NAMES:

        def receive(sender: Any, name: str = name, **values: Any) -> None:
            assert sender is CronRun
            found.append((name, values))

        receivers.append((getattr(signals, name), receive))
        receivers[-1][0].connect(receive)
    yield found
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def fail(context: object) -> None:
    raise ValueError("no such thing")


def run(name: str, *, fails: bool = False, hours_ago: int = 1) -> None:
    """Run a slot of an hourly job; one that was run already is forgotten."""
    CronRun.objects.filter(job=name).update(slot=EPOCH, attempt=F("token"))
    job = job_seen(name, hours_ago)
    crons_for_tests.acts.pop(name, None)
    if fails:
        crons_for_tests.acts[name] = fail
    list(runner.run_due([job]))


def subjects() -> list[str]:
    return [message.subject.removeprefix("[Django] ") for message in mail.outbox]


def test_receivers_hear_of_start_and_end(heard: list[Any]) -> None:
    run("hourly")
    assert [name for name, _ in heard if name != "cron_late"] == ["cron_started", "cron_finished"]
    assert heard[-1][1]["run"].job == "hourly" and heard[-1][1]["exception"] is None


def test_receivers_hear_of_failure_and_recovery(heard: list[Any]) -> None:
    run("hourly", fails=True)
    (failed,) = [values for name, values in heard if name == "cron_failed"]
    assert "no such thing" in failed["error"]
    run("hourly")
    assert heard[-1][0] == "cron_recovered"


def test_receiver_that_raises_changes_nothing() -> None:
    def receive(**values: Any) -> None:
        raise RuntimeError("a receiver's mistake")

    signals.cron_finished.connect(receive)
    try:
        run("hourly")
    finally:
        signals.cron_finished.disconnect(receive)
    assert CronRun.objects.get(job="hourly").outcome == "success"


def test_admins_get_one_mail_for_a_row_of_failures_and_one_for_the_recovery() -> None:
    for fails in (True, True, False, False, True):
        run("hourly", fails=fails)
    about_runs = [subject for subject in subjects() if "late" not in subject]
    assert about_runs == [
        "Periodic job hourly failed",
        "Periodic job hourly works again",
        "Periodic job hourly failed",
    ]
    assert "no such thing" in mail.outbox[0].body or "no such thing" in mail.outbox[1].body


def test_admins_get_no_mail_where_the_site_wants_none(settings: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "django_spooler.backend.SpoolerBackend",
            "OPTIONS": {"CRON_MAIL": False},
        }
    }
    run("hourly", fails=True, hours_ago=3)
    assert subjects() == []


def test_slots_that_nobody_ran_are_told_once_a_day(heard: list[Any]) -> None:
    run("hourly", hours_ago=4)
    missed = [values for name, values in heard if name == "cron_late" and values["missed"]]
    assert len(missed) == 3
    assert subjects().count("Periodic job hourly was not started") == 1
    assert "and 2 times after it" in mail.outbox[0].body
    CronRun.objects.filter(job="hourly", outcome="success").delete()
    CronJob.objects.filter(name="hourly").update(slot=missed[-1]["slot"] - HOUR)
    CronRun.objects.filter(job="hourly", slot=missed[-1]["slot"]).delete()
    list(runner.run_due([job_named("hourly")]))
    assert subjects().count("Periodic job hourly was not started") == 1


def job_named(name: str) -> jobs.PeriodicJob:
    job = jobs.find_job(name)
    assert job is not None
    return job


def test_run_that_died_is_told_as_a_failure(heard: list[Any]) -> None:
    job = job_seen("hourly", 1)
    claims.claim([job], begin=True)
    expire("hourly")
    list(runner.run_due([job]))
    told = [name for name, _ in heard if name != "cron_late"]
    assert told == ["cron_failed", "cron_started", "cron_finished", "cron_recovered"]
    assert "Periodic job hourly failed" in subjects()


class Service(http.server.HTTPServer):
    """A healthchecks service that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/check"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.told.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_request(self, *args: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def job_that_pings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs._registry, "hourly", replace(job_named("hourly"), ping=url))


def test_service_is_told_of_start_success_and_failure(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_that_pings(f"{service.url}/", monkeypatch)
    run("hourly")
    run("hourly", fails=True)
    assert service.told == ["/check/start", "/check", "/check/start", "/check/fail"]


def test_service_that_is_away_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    job_that_pings("http://127.0.0.1:9/", monkeypatch)
    run("hourly")
    assert CronRun.objects.get(job="hourly").outcome == "success"


def test_late_start_is_told(heard: list[Any], settings: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "django_spooler.backend.SpoolerBackend",
            "OPTIONS": {"CRON_LATE": 0.001},
        }
    }
    run("hourly")
    (late,) = [values for name, values in heard if name == "cron_late"]
    assert late["job"] == "hourly" and late["missed"] is False
    assert late["slot"] + timedelta(milliseconds=1) < CronRun.objects.get(job="hourly").start
    assert "Periodic job hourly started late" in subjects()
