"""Who gets where: every address of the admin's pages is tried by those who may not."""

from itertools import product

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from django_spooler.admin import PAGES
from django_spooler.admin.actions import ACTIONS
from django_spooler.admin.crons import ACTIONS as JOB_ACTIONS
from django_spooler.cron import overview as cron_overview
from django_spooler.models import CronJob, CronRun
from django_spooler.spool.directory import Spool
from django_spooler.spool.listing import STATES, files

from . import tasks_for_tests as tasks

pytestmark = pytest.mark.django_db(transaction=True)
PERMISSIONS = {f"view_{model._meta.model_name}" for model in PAGES} | {
    codename for model in PAGES for codename, _ in model._meta.permissions
}


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    options = {"SPOOLERS": {"default": tmp_path}, "OUTSIDE_UWSGI": "spool"}
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": backend}
    return Spool(tmp_path)


@pytest.fixture
def objects(spool):
    """Return an id of each model; a task waits and the jobs are known."""
    waiting = tasks.add.enqueue(1).id
    cron_overview.job_states()
    run = CronRun.objects.create(job="hourly", slot=timezone.now(), token=1)
    return {"task": waiting, "cronjob": quote("hourly"), "cronrun": str(run.pk)}


@pytest.fixture
def log_in_with(client):
    """Log in a staff user with these permissions only."""

    def log_in_with(*permissions):
        user = User.objects.create(username=str(User.objects.count()), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in_with


def addresses(objects):
    """Yield every address that our pages have."""
    for model in PAGES:
        identifier = objects[model._meta.model_name]
        for pattern in admin.site._registry[model].urls:
            parameters = dict.fromkeys(pattern.pattern.converters, identifier)
            if pattern.name:
                yield reverse(f"admin:{pattern.name}", kwargs=parameters)
        # One without a name leads on to the page of an object.
        yield (
            reverse(f"admin:django_spooler_{model._meta.model_name}_changelist") + identifier + "/"
        )


def what_stands(spool):
    stand = [file.path for state in STATES for file in files(spool, state)]
    paused = list(CronJob.objects.values_list("name", "paused").order_by("name"))
    return sorted(stand), spool.paused(), paused, CronRun.objects.count(), LogEntry.objects.count()


def posts(objects):
    """Yield what the pages' forms send, with the addresses that take it."""
    everything = {"select_across": "1", "post": "yes", "priority": "5"}
    for action in ACTIONS:
        yield "task_changelist", {"action": action, **everything}
        yield "task_changelist", {"action": action, "_selected_action": [objects["task"]]}
    for action in JOB_ACTIONS:
        yield "cronjob_act", {"action": action, "job": "hourly"}
    yield "task_pause", {"queue": "default"}
    yield "task_pause", {"queue": "default", "resume": "1"}


def test_staff_without_permissions_gets_nowhere_and_changes_nothing(log_in_with, spool, objects):
    client = log_in_with()
    before = what_stands(spool)
    found = list(addresses(objects))
    assert len(found) > 15
    for address, method in product(found, ("get", "post", "put", "delete")):
        answer = getattr(client, method)(address, follow=True)
        assert answer.status_code in (403, 405), (method, address)
        assert answer.status_code == 403 or method != "post", address
        assert objects["task"] not in answer.content.decode()
    enqueue = reverse("admin:django_spooler_task_enqueue")
    for page, fields in posts(objects):
        assert client.post(reverse(f"admin:django_spooler_{page}"), fields).status_code == 403
    call = {"priority": "0", "parameter-a": "1"}
    for query in ({"task": tasks.add.module_path}, {"task": tasks.add.module_path, "from": "x"}):
        assert client.post(enqueue, call, query_params=query).status_code == 403
    assert what_stands(spool) == before


def test_anonymous_visitor_is_sent_to_the_login(client, spool, objects):
    before = what_stands(spool)
    for address, method in product(addresses(objects), ("get", "post")):
        answer = getattr(client, method)(address)
        assert answer.status_code == 302 and "/login/" in answer["Location"], address
    assert what_stands(spool) == before


def test_who_may_only_look_sees_no_action_and_gets_403_for_each(log_in_with, spool, objects):
    client = log_in_with("view_task", "view_cronjob", "view_cronrun")
    before = what_stands(spool)
    for page in ("task_changelist", "task_overview", "cronjob_changelist"):
        shown = client.get(reverse(f"admin:django_spooler_{page}")).content.decode()
        assert 'name="action"' not in shown and "Pause" not in shown
    for page, fields in posts(objects):
        answer = client.post(reverse(f"admin:django_spooler_{page}"), fields)
        assert answer.status_code == 403, fields
    assert what_stands(spool) == before


@pytest.mark.parametrize("missing", ["view_task", "view_cronjob"])
def test_what_is_allowed_is_worth_nothing_without_the_permission_to_look(
    log_in_with, spool, objects, missing
):
    client = log_in_with(*(PERMISSIONS - {missing}))
    model = missing.removeprefix("view_")
    for page, fields in posts(objects):
        if page.startswith(f"{model}_"):
            assert client.post(reverse(f"admin:django_spooler_{page}"), fields).status_code == 403


def test_nothing_is_done_without_the_token_against_forged_posts(client, spool, objects):
    user = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(user)
    before = what_stands(spool)
    for page, fields in posts(objects):
        answer = strict.post(reverse(f"admin:django_spooler_{page}"), fields)
        assert answer.status_code == 403, fields
    assert what_stands(spool) == before
