"""What monitors read: the health page, Prometheus's metrics, the dashboard and the alert rules."""

import importlib
import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
import yaml
from django.test import Client
from django.urls import path
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from django_spooler import operations, overview
from django_spooler.health import health
from django_spooler.metrics import SpoolerCollector, metrics
from django_spooler.spool.counts import Counts
from django_spooler.spool.place import Place
from django_spooler.spool.process import RUNNER, HeldCard, new_card

from . import tasks_for_tests as tasks

MONITORING = Path(__file__).resolve().parents[2] / "docs" / "monitoring"

urlpatterns = [
    path("health/", health),
    path("strict/", health, {"max_age": 60, "max_failed": 0}),
    path("lax/", health, {"max_age": None}),
    path("metrics/", metrics),
]


@pytest.fixture(autouse=True)
def spool(settings, spool_of_two_queues):
    settings.ROOT_URLCONF = __name__
    return spool_of_two_queues


@pytest.fixture
def process(spool):
    """Be a process that runs the directory's tasks."""
    spool.prepare()
    card = HeldCard(spool, new_card(RUNNER, "work", "1"))
    yield card
    card.leave()


def get(page):
    answer = Client().get(f"/{page}/")
    assert "no-cache" in answer["Cache-Control"]
    return answer.status_code, answer.json()


def make_older(spool, seconds):
    """Let every ready task have been ready for so many seconds more."""
    for file in Path(spool.path("ready")).rglob("uwsgi_*"):
        base, second, rest = str(file).rsplit("_", 2)
        os.rename(file, f"{base}_{int(second) - seconds}_{rest}")


def test_healthy_site_answers_200_and_tells_nothing_else(process):
    tasks.add.enqueue(1)
    code, body = get("strict")
    assert (code, body) == (
        200,
        {"healthy": True, "spooler": True, "waiting": True, "failed": True},
    )


@pytest.mark.parametrize("page", ["health", "strict", "lax"])
def test_without_a_process_it_is_not_healthy(page):
    code, body = get(page)
    assert (code, body["spooler"], body["waiting"], body["failed"]) == (503, False, True, True)


def test_task_that_waits_for_too_long_is_a_fault_unless_its_queue_is_paused(spool, process):
    tasks.add.using(queue_name="mail").enqueue(1)
    make_older(spool, 90)
    assert [get(page)[0] for page in ("strict", "health", "lax")] == [503, 200, 200]
    assert get("strict")[1]["waiting"] is False
    for queue in ("mail", None):
        operations.pause([spool], queue, wait=False, timeout=None)
        assert get("strict")[0] == 200
        spool.resume()


def test_more_failed_tasks_than_the_limit_are_a_fault(spool, process):
    tasks.add.enqueue(1)
    (file,) = Path(spool.path("ready")).rglob("uwsgi_*")
    spool.set_aside(str(file), "as told")
    assert (get("strict")[0], get("health")[0]) == (503, 200)
    assert get("strict")[1]["failed"] is False


def test_wrong_settings_are_a_fault_and_no_error_page(settings):
    settings.TASKS = {
        "default": {
            "BACKEND": "django_spooler.backend.SpoolerBackend",
            "OPTIONS": {"SPOOLERS": {"default": "relative"}},
        }
    }
    assert get("health")[0] == 503


@pytest.mark.parametrize("page", ["health", "metrics"])
def test_pages_need_no_login_where_every_other_page_does(page, process, settings):
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, required]
    assert Client().get(f"/{page}/").status_code == 200


@pytest.mark.parametrize("page", ["health", "metrics"])
def test_pages_are_for_reading(page):
    assert Client().post(f"/{page}/").status_code == 405


def samples():
    """Return what the page tells: name and labels to value."""
    text = Client().get("/metrics/").content.decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_tell_what_stands_in_the_directories(spool, process):
    for queue in ("default", "mail", "mail"):
        tasks.add.using(queue_name=queue).enqueue(1)
    make_older(spool, 50)
    operations.pause([spool], "mail", wait=False, timeout=None)
    told = samples()
    assert told["django_spooler_tasks", "default", "ready"] == 1
    assert told["django_spooler_tasks", "mail", "ready"] == 2
    assert told["django_spooler_tasks", "mail", "running"] == 0
    assert told["django_spooler_tasks", "", "failed"] == 0
    assert 50 <= told["django_spooler_oldest_seconds", "mail", "ready"] < 60
    assert told["django_spooler_processes", spool.directory] == 1
    assert (told["django_spooler_paused", "mail"], told["django_spooler_paused", "default"]) == (
        1,
        0,
    )


def test_failed_tasks_are_told_by_queue_and_the_older_ones_of_many_without(
    spool, process, monkeypatch
):
    now = int(time.time() * 1000)
    for age, queue in ((9, "default"), (5, "mail"), (1, "mail")):
        tasks.add.using(queue_name=queue).enqueue(1)
        (file,) = Path(spool.path("ready", queue)).rglob("uwsgi_*")
        identifier = f"{now - age:012x}{0:020x}"
        spool.set_aside(str(file), "as told", identifier=identifier, place=Place.of(queue, 0))
    told = samples()
    assert told["django_spooler_tasks", "default", "failed"] == 1
    assert told["django_spooler_tasks", "failed", "mail"] == 2
    assert told["django_spooler_tasks", "", "failed"] == 0
    assert 0 <= told["django_spooler_oldest_seconds", "failed", "mail"] < 60
    monkeypatch.setattr(overview, "FAILED_READ", 2)
    told = samples()
    assert told["django_spooler_tasks", "default", "failed"] == 0
    assert told["django_spooler_tasks", "failed", "mail"] == 2
    assert told["django_spooler_tasks", "", "failed"] == 1


def test_metrics_tell_what_all_processes_have_counted(spool, process):
    for name in ("one", process.card.name):
        counts = Counts(spool, name)
        counts.start("shop.tasks.x", 0.2)
        counts.end("shop.tasks.x", "succeeded", 3.0)
        counts.close()
    told = samples()
    assert told["django_spooler_started_total", "shop.tasks.x"] == 2
    assert told["django_spooler_succeeded_total", "shop.tasks.x"] == 2
    assert told["django_spooler_failed_total", "shop.tasks.x"] == 0
    assert told["django_spooler_run_seconds_sum", "shop.tasks.x"] == 6.0
    assert told["django_spooler_run_seconds_bucket", "2.5", "shop.tasks.x"] == 0
    assert told["django_spooler_run_seconds_bucket", "5.0", "shop.tasks.x"] == 2
    assert told["django_spooler_run_seconds_bucket", "+Inf", "shop.tasks.x"] == 2
    assert told["django_spooler_wait_seconds_count", "shop.tasks.x"] == 2


def test_names_from_a_file_of_somebody_else_break_nothing(spool, process):
    counts = Counts(spool, "one")
    counts.start('evil"} 1\nfake 2', time.time())
    counts.close()
    assert not [name for name, *_ in samples() if name == "fake"]


def test_every_metric_the_dashboard_and_the_alerts_name_exists(spool, process):
    counts = Counts(spool, process.card.name)
    counts.start("x", 0.0)
    counts.end("x", "succeeded", 0.0)
    counts.close()
    tasks.add.enqueue(1)
    registry = CollectorRegistry()
    registry.register(SpoolerCollector())
    known = {sample.name for family in registry.collect() for sample in family.samples}
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    assert len(expressions) > 15
    named = {name for text in expressions for name in re.findall(r"django_spooler_\w+", text)}
    assert named <= known
    assert all(
        "summary" in rule["annotations"] for group in alerts["groups"] for rule in group["rules"]
    )


def test_metrics_without_their_library_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "django_spooler.metrics")
    with pytest.raises(ImportError, match=r"pip install 'django-spooler\[prometheus\]'"):
        importlib.import_module("django_spooler.metrics")
