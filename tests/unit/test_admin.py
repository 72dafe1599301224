"""The admin's pages of the queue: what they show, to whom, and what they do."""

import ast
import gettext
import os
import pickle
import re
import shutil
import socket
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.urls import path
from django.utils import timezone, translation

import django_spooler
from django_spooler import diagnosis, message, overview
from django_spooler.admin import actions, register
from django_spooler.envelope import read
from django_spooler.exceptions import SpoolUnavailable
from django_spooler.models import Task
from django_spooler.spool import listing, packet
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import PREFIX
from django_spooler.spool.place import Place, claimed_name
from django_spooler.spool.process import RUNNER, HeldCard, new_card

from . import tasks_for_tests as tasks

LIST = "/admin/django_spooler/task/"
HOSTILE = '<script>alert("x")</script>'
pytestmark = pytest.mark.django_db


@pytest.fixture
def spool(settings, tmp_path):
    queues = ["default", "mail"]
    options = {"SPOOLERS": dict.fromkeys(queues, tmp_path), "OUTSIDE_UWSGI": "spool"}
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "QUEUES": queues}
    # The tests' transaction is never committed.
    settings.TASKS = {"default": {**backend, "OPTIONS": {**options, "ENQUEUE_ON_COMMIT": False}}}
    return Spool(tmp_path)


@pytest.fixture
def log_in_with(client):
    """Log in a staff user with these permissions only; "all" makes a superuser."""

    def log_in_with(*permissions: str):
        user = User.objects.create(
            username="-".join(permissions) or "nobody",
            is_staff=True,
            is_superuser=permissions == ("all",),
        )
        user.user_permissions.set(
            Permission.objects.filter(
                content_type__app_label="django_spooler", codename__in=permissions
            )
        )
        client.force_login(user)
        return client

    return log_in_with


@pytest.fixture
def failed(spool):
    """Return the id of a failed task."""
    tasks.fail_for_good.enqueue()
    (entry,) = overview.entries(spool, "ready")
    return spool.set_aside(
        entry.file,
        "ValueError: no use",
        identifier=entry.id,
        task=entry.task,
        traceback="Traceback: no use",
        place=Place.of(entry.queue, entry.priority),
    )


def states(spool):
    return [state for state in overview.STATES for _ in overview.entries(spool, state)]


def in_an_hour():
    return timezone.now() + timedelta(hours=1)


def post(client, action, *ids, state="", **more):
    return client.post(
        f"{LIST}?state={state}",
        {"action": action, "_selected_action": ids, "post": "yes", **more},
    )


# Who may do what


@pytest.mark.parametrize("page", ["", "overview/", "failures/", "{id}/change/"])
def test_pages_need_the_permission_to_view(log_in_with, failed, page):
    address = LIST + page.format(id=failed)
    assert log_in_with().get(address).status_code == 403
    assert log_in_with("view_task").get(address).status_code == 200


@pytest.mark.parametrize("page", ["add/", "{id}/delete/", "{id}/history/"])
def test_pages_of_rows_give_nothing_away(log_in_with, failed, page):
    assert log_in_with().get(LIST + page.format(id=failed)).status_code == 403


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("retry_selected", "retry_task"),
        ("run_now_selected", "retry_task"),
        ("discard_selected", "discard_task"),
        ("prioritize_selected", "prioritize_task"),
    ],
)
def test_actions_need_their_own_permission(log_in_with, spool, failed, action, permission):
    others = {codename for codename, _ in Task._meta.permissions} | {"view_task"}
    client = log_in_with(*(others - {permission}))
    assert action not in client.get(LIST).content.decode()
    assert post(client, action, failed).status_code == 403
    assert states(spool) == ["failed"]
    assert not LogEntry.objects.exists()
    assert post(log_in_with(permission), action, failed).status_code == 403  # sees no tasks
    allowed = log_in_with("view_task", permission)
    assert post(allowed, action, failed, priority="5").status_code == 302


def test_pausing_needs_its_permission_and_a_post(log_in_with, spool):
    view_only = log_in_with("view_task")
    assert view_only.post(f"{LIST}pause/", {"queue": "default"}).status_code == 403
    client = log_in_with("view_task", "pause_queue")
    assert client.get(f"{LIST}pause/").status_code == 405
    client.post(f"{LIST}pause/", {"queue": "default"})
    assert spool.paused() == {"default"}
    client.post(f"{LIST}pause/", {"queue": "default", "resume": "1"})
    assert spool.paused() == set()
    assert LogEntry.objects.count() == 2


# What they do


def test_actions_ask_first_and_say_how_many(log_in_with, spool, failed):
    client = log_in_with("all")
    asked = client.post(LIST, {"action": "discard_selected", "_selected_action": [failed]})
    assert "This concerns 1 task." in asked.content.decode()
    assert states(spool) == ["failed"]


def test_retry_puts_a_failed_task_back_and_is_logged(log_in_with, spool, failed):
    post(log_in_with("all"), "retry_selected", failed)
    assert states(spool) == ["ready"]
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.user.username) == (failed, "all")


def test_discard_deletes_failed_waiting_and_scheduled_tasks(log_in_with, spool, failed):
    ready = tasks.add.enqueue(1).id
    scheduled = tasks.add.using(run_after=in_an_hour()).enqueue(2).id
    post(log_in_with("all"), "discard_selected", failed, ready, scheduled)
    assert states(spool) == []


def test_run_now_makes_a_scheduled_task_ready_without_its_time(log_in_with, spool):
    scheduled = tasks.add.using(run_after=in_an_hour()).enqueue(1).id
    post(log_in_with("all"), "run_now_selected", scheduled)
    (entry,) = overview.entries(spool, "ready")
    assert (entry.id, entry.run_after, entry.args) == (scheduled, None, [1])
    assert states(spool) == ["ready"]


def test_run_now_from_the_command_line(spool):
    scheduled = tasks.add.using(run_after=in_an_hour()).enqueue(1).id
    call_command("spooler", "run-now", scheduled)
    assert states(spool) == ["ready"]
    with pytest.raises(CommandError, match=scheduled):
        call_command("spooler", "run-now", scheduled)


def test_everything_that_matches_can_be_selected_at_once(log_in_with, spool):
    for value in range(3):
        tasks.add.enqueue(value)
    tasks.echo.enqueue()
    client = log_in_with("all")
    client.post(
        f"{LIST}?state=ready&task={tasks.add.module_path}",
        {"action": "discard_selected", "select_across": "1", "post": "yes"},
    )
    (left,) = overview.entries(spool, "ready")
    assert left.task == tasks.echo.module_path
    assert LogEntry.objects.get().object_repr.startswith("3 tasks")


def test_priority_is_asked_for_and_given(log_in_with, spool):
    ids = [tasks.add.enqueue(value).id for value in range(2)]
    client = log_in_with("all")
    asked = post(client, "prioritize_selected", *ids, priority="1000").content.decode()
    assert "less than or equal to 100" in asked
    assert {entry.priority for entry in overview.entries(spool, "ready")} == {0}
    post(client, "prioritize_selected", *ids, priority="9")
    assert {entry.priority for entry in overview.entries(spool, "ready")} == {9}
    assert {entry.change_message for entry in LogEntry.objects.all()} == {"Given priority 9."}


def test_what_came_after_the_question_is_not_meant(log_in_with, spool):
    tasks.add.enqueue(1)
    client = log_in_with("all")
    asked = client.post(LIST, {"action": "discard_selected", "select_across": "1"})
    until = asked.context["form"]["until"].value()
    later = tasks.add.enqueue(2).id
    everything = {"action": "discard_selected", "select_across": "1", "post": "yes"}
    client.post(LIST, {**everything, "until": until})
    assert [entry.id for entry in overview.entries(spool, "ready")] == [later]


def test_long_action_goes_on_in_rounds_that_show_how_far_it_got(log_in_with, spool, monkeypatch):
    for value in range(3):
        tasks.add.enqueue(value)
    monkeypatch.setattr(actions, "BRIEF", -1.0)
    client = log_in_with("all")
    everything = {"action": "prioritize_selected", "select_across": "1", "post": "yes"}
    told = {**everything, "priority": "5", "brief": "1", "total": "3"}
    for count in (1, 2, 3):
        answer = client.post(LIST, told)
        assert f"{count} of 3 tasks are done." in answer.content.decode()
        form = answer.context["form"]
        told = {**everything, **{field.html_name: field.value() or "" for field in form}}
    assert client.post(LIST, told).status_code == 302
    assert {entry.priority for entry in overview.entries(spool, "ready")} == {5}


def test_chosen_tasks_too_are_done_in_rounds(log_in_with, spool, monkeypatch):
    ids = [tasks.add.enqueue(value).id for value in range(2)]
    monkeypatch.setattr(actions, "ROUND", -1.0)
    client = log_in_with("all")
    answer = post(client, "discard_selected", *ids)
    (left,) = answer.context["chosen"]
    assert [entry.id for entry in overview.entries(spool, "ready")] == [left]


def test_what_cannot_be_done_to_one_task_is_told_and_done_to_the_others(
    log_in_with, spool, monkeypatch
):
    for value in range(3):
        tasks.add.enqueue(value)
    asked = []

    def discard_the_second(self, path):
        asked.append(path)
        if len(asked) == 2:
            raise SpoolUnavailable("The disk is on fire.")
        return True

    monkeypatch.setattr(Spool, "discard_waiting", discard_the_second)
    everything = {"action": "discard_selected", "select_across": "1", "post": "yes"}
    shown = log_in_with("all").post(LIST, everything, follow=True).content.decode()
    assert "The disk is on fire." in shown
    assert "2 tasks: Discarded." in shown
    assert "in no state for that" not in shown
    assert LogEntry.objects.get().object_repr.startswith("2 tasks")


# What they show


def test_list_has_tabs_search_and_pages(log_in_with, spool):
    for value in range(101):
        tasks.add.enqueue(f"number-{value}")
    client = log_in_with("view_task")
    first = client.get(f"{LIST}?state=ready").content.decode()
    assert "number-0" in first and "number-100" not in first
    second = client.get(f"{LIST}?state=ready&p=2").content.decode()
    assert "number-100" in second
    found = client.get(f"{LIST}?q=number-77").content.decode()
    assert set(re.findall(r"number-\d+", found)) == {"number-77"}


def test_failed_tasks_are_filtered_by_the_class_of_their_error(log_in_with, spool, failed):
    client = log_in_with("view_task")
    assert 'name="error"' in client.get(f"{LIST}?state=failed").content.decode()
    found = client.get(f"{LIST}?state=failed&error=ValueError")
    assert [entry.id for entry in found.context["page"].entries] == [failed]
    assert re.findall(r'name="error" value="([^"]*)"', found.content.decode()) == ["ValueError"]
    other = client.get(f"{LIST}?state=failed&error=KeyError")
    assert not other.context["page"].entries
    assert 'name="error"' not in client.get(f"{LIST}?state=ready").content.decode()


def test_page_of_a_task_leads_to_what_was_done_to_it(log_in_with, failed):
    client = log_in_with("view_task", "retry_task")
    post(client, "retry_selected", failed)
    (link,) = re.findall(
        r'href="([^"]+/history/)"', client.get(f"{LIST}{failed}/change/").content.decode()
    )
    assert "Retried." in client.get(link).content.decode()


@pytest.mark.parametrize(
    ("query", "column", "way"),
    [
        ("state=ready", "priority", "descending"),
        ("state=ready&o=-order", "priority", "ascending"),
        ("state=ready&o=time", "time", "ascending"),
        ("state=ready&o=-time", "time", "descending"),
        ("state=failed", "time", "descending"),
        ("state=failed&o=-time", "time", "ascending"),
    ],
)
def test_list_says_what_it_is_sorted_by(log_in_with, failed, query, column, way):
    shown = log_in_with("view_task").get(f"{LIST}?{query}").content.decode()
    (found,) = re.findall(r'aria-sort="(\w+)"><div class="text"><a id="spooler-by-(\w+)"', shown)
    assert found == (way, column)


@pytest.mark.parametrize("query", ["state=x", "p=x", "p=99999999999", "o=---", "age=x", "queue=.."])
def test_what_an_address_cannot_mean_breaks_nothing(log_in_with, spool, query):
    assert log_in_with("view_task").get(f"{LIST}?{query}").status_code == 200


def test_hostile_content_is_shown_as_text(log_in_with, spool):
    tasks.echo.enqueue(HOSTILE, **{HOSTILE: HOSTILE})
    waiting = next(overview.entries(spool, "ready")).id
    unknown = put_message(spool, "unknown", task=HOSTILE)
    (Path(spool.path("paused")) / HOSTILE.replace("/", "")).touch()
    card = HeldCard(spool, new_card(RUNNER, HOSTILE, "1"))
    foreign_path = spool.path("tmp", "foreign")
    with open(foreign_path, "w") as file:
        file.write(HOSTILE)
    foreign = spool.set_aside(foreign_path, HOSTILE, task=HOSTILE, traceback=HOSTILE)
    client = log_in_with("all")
    everything = {"action": "discard_selected", "select_across": "1"}
    answers = [
        *map(client.get, (LIST, f"{LIST}?q={HOSTILE}", f"{LIST}failures/", f"{LIST}overview/")),
        *(client.get(f"{LIST}{name}/change/") for name in (waiting, unknown, foreign)),
        client.get(f"{LIST}?state=failed&error={HOSTILE}&o={HOSTILE}"),
        client.post(f"{LIST}?state=ready", everything),
        client.post(f"{LIST}?state=failed", everything),
    ]
    card.leave()
    for answer in answers:
        shown = answer.content.decode()
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert" in shown, answer.request["PATH_INFO"]


@pytest.mark.parametrize("content", [None, b"no task"])
def test_file_whose_name_is_no_text_is_shown(log_in_with, spool, content):
    tasks.add.enqueue(1, 2)
    (entry,) = overview.entries(spool, "ready")
    path = os.path.dirname(os.fsencode(entry.file)) + b"/\xff_1_1"
    os.rename(entry.file, path)
    if content:
        Path(os.fsdecode(path)).write_bytes(content)
    client = log_in_with("all")
    page = client.get(f"{LIST}?state=ready").content.decode()
    (link,) = re.findall(r'href="(/[^"]+/change/)"', page)
    shown = client.get(link)
    assert shown.status_code == 200
    assert r"\xff_1_1" in shown.content.decode()


def test_file_of_another_library_whose_name_is_no_text_is_shown(log_in_with, spool):
    name = b"uwsgi_spoolfile_on_\xff_1_1_1_1_1"
    Path(spool.directory, os.fsdecode(name)).write_bytes(b"\x11\x00\x00\x00")
    client = log_in_with("all")
    page = client.get(f"{LIST}?state=other").content.decode()
    (link,) = re.findall(r'href="(/[^"]+/change/)"', page)
    assert r"\xff_1_1" in client.get(link).content.decode()


@pytest.mark.parametrize("name", ["%00", "x" * 300, "x" * 5000, "%ED%A0%80", "_00", "..", "%2e"])
def test_id_that_no_file_can_have_is_not_found(log_in_with, spool, name):
    assert log_in_with("view_task").get(f"{LIST}{name}/change/").status_code in (302, 404)
    with pytest.raises(CommandError):
        call_command("spooler", "show", unquote(name, errors="surrogatepass"))


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_directory_among_the_tasks_holds_up_no_discarding(log_in_with, spool, name):
    for value in range(3):
        tasks.add.enqueue(value, 2)
    (entry, *_) = overview.entries(spool, "ready")
    Path(entry.file).with_name(name).mkdir()
    post(log_in_with("all"), "discard_selected", state="ready", select_across="1")
    assert states(spool) == []


@pytest.mark.parametrize(
    "place", ["ready", "scheduled", "running", "failed", "paused", "processes", "counts", "tmp"]
)
def test_page_is_shown_whatever_stands_where_a_directory_belongs(log_in_with, spool, place):
    spool.prepare()
    directory = Path(spool.tree, place)
    shutil.rmtree(directory, ignore_errors=True)
    directory.touch()
    client = log_in_with("all")
    for page in ("", "?state=failed", "?state=other", "?q=x", "overview/", "failures/", "enqueue/"):
        assert client.get(LIST + page).status_code == 200
    assert client.get(f"{LIST}nowhere/change/").status_code == 404
    everything = {"action": "discard_selected", "select_across": "1", "post": "yes"}
    for page, posted in (("", everything), ("pause/", {"queue": "default"})):
        assert client.post(LIST + page, posted).status_code == 302


@pytest.mark.parametrize("page", ["", "overview/", "failures/", "nowhere/change/"])
def test_page_tells_why_the_directory_cannot_be_looked_at(log_in_with, spool, page):
    spool.prepare()
    shutil.rmtree(spool.tree)
    Path(spool.tree).symlink_to(spool.tree)  # what not even root can open
    answer = log_in_with("view_task").get(LIST + page)
    assert answer.status_code == 503
    assert f"Spool directory {spool.directory} cannot be used" in answer.content.decode()


def put_message(spool, identifier, **fields):
    """Put a message of anybody's making among the ready ones; return its id."""
    made = message.Message(
        **{
            "id": identifier,
            "task": tasks.add.module_path,
            "args": [HOSTILE],
            "kwargs": {},
            "queue": "default",
            "priority": 0,
            "backend": HOSTILE,
            "enqueued_at": 1.5,
            **fields,
        }
    )
    line = message.encode(made, signed=False)
    spool.publish(packet.encode(packet.MARK, line), Place.of("default", 0))
    return identifier


def test_tasks_of_other_libraries_are_shown_and_not_touched(log_in_with, spool):
    theirs = {
        "decorated": {b"ud_spool_func": b"send_letter", b"args": pickle.dumps(Trap())},
        "of_tasks": {b"function_name": HOSTILE.encode(), b"args": pickle.dumps(Trap())},
        "unknown": {b"what": HOSTILE.encode()},
    }
    for name, variables in theirs.items():
        put_foreign(spool, name, packet.encode(variables))
    put_foreign(spool, "damaged", HOSTILE.encode())
    client = log_in_with("all")
    assert "Other libraries" in client.get(LIST).content.decode()
    shown = client.get(f"{LIST}?state=other").content.decode()
    for text in ("send_letter", "uwsgidecorators", "uwsgi_tasks", "Another library’s task"):
        assert text in shown
    assert "action-select" not in shown
    assert "send_letter" in client.get(f"{LIST}?state=other&q=uwsgidecorators").content.decode()
    for name in (*theirs, "damaged"):
        detail = client.get(f"{LIST}{PREFIX}{name}/change/").content.decode()
        assert "The file begins with" in detail
        assert "<script>alert" not in shown + detail
        assert 'class="spooler-actions"' not in detail
        for action in ("discard_selected", "retry_selected", "run_now_selected"):
            post(client, action, f"{PREFIX}{name}")
    assert len(list(listing.files(spool, listing.OTHER))) == 4
    assert not unpickled


class Trap:
    """Tells when it is unpickled."""

    def __reduce__(self):
        return unpickled.append, (True,)


unpickled: list[bool] = []


def put_foreign(spool, name, content):
    (Path(spool.directory) / f"{PREFIX}{name}").write_bytes(content)


def test_task_that_came_through_a_socket_is_shown_before_it_is_taken_in(log_in_with, spool):
    tasks.add.enqueue("parcel")
    (entry,) = overview.entries(spool, "ready")
    put_foreign(spool, "ours", Path(entry.file).read_bytes())
    shown = log_in_with("all").get(f"{LIST}?state=other").content.decode()
    assert tasks.add.module_path in shown and "parcel" in shown


def test_detail_answers_why_a_task_waits(log_in_with, spool):
    client = log_in_with("view_task")
    low = tasks.add.using(priority=-5).enqueue(1).id

    def detail(identifier):
        return client.get(f"{LIST}{identifier}/change/").content.decode()

    assert "no process serves this directory" in detail(low)
    spool.pause("default")
    assert "The queue default is paused." in detail(low)
    later = tasks.add.using(run_after=in_an_hour()).enqueue(1).id
    assert "It is scheduled for" in detail(later)


def test_unknown_id_is_not_found(log_in_with, spool):
    assert log_in_with("view_task").get(f"{LIST}nowhere/change/").status_code == 404


def test_overview_tells_what_is_wrong_and_the_remedy(log_in_with, spool):
    client = log_in_with("view_task")
    shown = client.get(f"{LIST}overview/").content.decode()
    assert f"No process serves {spool.directory}." in shown
    assert "spooler-import = django_spooler.worker" in shown
    tasks.add.enqueue(1)
    spool.pause("default")
    shown = client.get(f"{LIST}overview/").content.decode()
    assert "manage.py spooler resume" in shown


def test_overview_draws_what_ran_and_tells_it_in_figures(log_in_with, spool):
    spool.prepare()
    process = Counts(spool, "one")
    for how in ("succeeded", "succeeded", "failed", "retried"):
        process.start(HOSTILE, 0.5)
        process.end(HOSTILE, how, 1.0)
    process.close()
    shown = log_in_with("view_task").get(f"{LIST}overview/").content.decode()
    assert shown.count('<svg class="spooler-chart"') == 6
    for kind in ("succeeded", "failed", "retried", "waited"):
        assert f'class="spooler-{kind}"' in shown
    assert "2 succeeded, at most 2 in 1 min." in shown
    assert "Failed for good: 1. Tried again: 1." in shown
    assert re.search(r"<td>4</td><td>2</td><td>1</td><td>1</td><td>0.500</td>", shown)
    assert "<script>alert" not in shown
    assert " style=" not in shown and "<style" not in shown


def test_chart_of_a_queue_where_nothing_ran_is_empty(log_in_with, spool):
    shown = log_in_with("view_task").get(f"{LIST}overview/").content.decode()
    assert "<rect" not in shown
    assert shown.count("Nothing ran.") == 2


# By hand


def test_enqueueing_by_hand_checks_permission_and_signature(log_in_with, spool):
    address = f"{LIST}enqueue/?task={tasks.add.module_path}"
    call = {"priority": "3", "parameter-a": "1", "parameter-b": ""}
    assert log_in_with("view_task").post(address, call).status_code == 403
    client = log_in_with("view_task", "enqueue_task")
    assert "This is not JSON" in client.post(address, {**call, "parameter-a": "{"}).content.decode()
    assert "This field is required" in client.post(address, {"priority": "0"}).content.decode()
    assert states(spool) == []
    client.post(address, call)
    (entry,) = overview.entries(spool, "ready")
    assert (entry.args, entry.kwargs, entry.priority) == ([1], {}, 3)
    assert LogEntry.objects.get().object_id == entry.id


def test_failed_task_is_retried_with_changes_and_keeps_what_is_hidden(
    log_in_with, spool, django_capture_on_commit_callbacks
):
    tasks.log_in.using(queue_name="mail", priority=7).enqueue("eve", "tiger", host="old")
    (entry,) = overview.entries(spool, "ready")
    place = Place.of(entry.queue, entry.priority)
    spool.set_aside(entry.file, "no", identifier=entry.id, task=entry.task, place=place)
    address = f"{LIST}enqueue/?task={tasks.log_in.module_path}&from={entry.id}"
    others = ("view_task", "enqueue_task", "retry_task")
    assert log_in_with(*others).get(address).status_code == 403
    client = log_in_with("view_task", "retry_changed_task")
    assert address in client.get(f"{LIST}{entry.id}/change/").content.decode().replace("&amp;", "&")
    asked = client.get(address).content.decode()
    assert "tiger" not in asked
    assert re.search(r'name="priority" value="7"', asked)
    call = {"user": '"eve"', "password": '"********"', "host": '"new"'}
    posted = {"priority": "7", **{f"parameter-{key}": call[key] for key in call}}
    with django_capture_on_commit_callbacks(execute=True):
        client.post(address, posted)
        assert "failed" in states(spool), "until the commit"
    assert states(spool) == ["ready"]
    (changed,) = overview.entries(spool, "ready")
    assert (changed.queue, changed.priority) == ("mail", 7)
    message, _ = read(changed.file, signed=False)
    assert (message.args, message.kwargs) == (["eve", "tiger"], {"host": "new"})


def test_detail_of_a_running_task_tells_process_host_and_since_when(log_in_with, spool):
    identifier = tasks.add.enqueue(1, 2).id
    (entry,) = overview.entries(spool, "ready")
    card = HeldCard(spool, new_card(RUNNER, "work", "1"))
    place = Place.of(entry.queue, entry.priority)
    name = claimed_name(place, os.path.basename(entry.file))
    os.rename(entry.file, os.path.join(card.running, name))
    answer = log_in_with("view_task").get(f"{LIST}{identifier}/change/")
    process = answer.context["process"]
    assert (process.pid, process.host) == (os.getpid(), socket.gethostname())
    assert abs(process.since - timezone.now()) < timedelta(minutes=1)
    shown = answer.content.decode()
    assert f"<td>{os.getpid()} (work)</td>" in shown
    assert f"<td>{socket.gethostname()}</td>" in shown
    assert "Runs since" in shown
    os.unlink(os.path.join(card.running, name))
    card.leave()


# In other languages


@pytest.mark.parametrize(
    ("language", "title"), [("zh-hans", "任务"), ("de", "Aufgaben"), ("en", "Tasks")]
)
def test_pages_speak_the_languages_of_the_catalogues(log_in_with, spool, settings, language, title):
    settings.LANGUAGE_CODE = language
    with translation.override(language):
        shown = log_in_with("view_task").get(LIST).content.decode()
    assert f"<h1>{title}</h1>" in shown


@pytest.mark.parametrize("language", ["de", "zh_Hans"])
def test_catalogue_translates_everything_that_is_marked(language):
    directory = Path(django_spooler.__file__).parent / "locale" / language / "LC_MESSAGES"
    source = (directory / "django.po").read_text()
    assert not re.findall(r'^msgstr(?:\[\d\])? ""\n(?!")', source, re.MULTILINE)
    with (directory / "django.mo").open("rb") as file:
        known = gettext.GNUTranslations(file)._catalog
    package = Path(django_spooler.__file__).parent
    for template in package.rglob("*.html"):
        for text in re.findall(r"""translate (["'])(.+?)\1 %""", template.read_text()):
            assert text[1] in known, template
    for module in package.rglob("*.py"):
        for text in marked(module):
            assert text in known or (text, 0) in known, module


def marked(module):
    """Yield the texts that a module marks for translation."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            text = node.args[0]
            if node.func.id in MARKERS and isinstance(text, ast.Constant):
                yield text.value


MARKERS = {"_", "gettext", "gettext_lazy", "ngettext"}


@pytest.mark.parametrize(
    "module", sorted(Path(diagnosis.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_no_words_of_the_doctor_are_left_unmarked(module):
    """What is neither marked nor a docstring is to be pasted, not read."""
    assert [text for text in unmarked(ast.parse(module.read_text())) if WORDS.search(text)] == []


def unmarked(node):
    """Yield the texts below a node that nobody can translate; what is filled in is left out."""
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        yield "".join(parts)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    is_marked = isinstance(node, ast.Call) and getattr(node.func, "id", None) in MARKERS
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Constant) and (is_marked or isinstance(node, ast.Expr))):
            yield from unmarked(child)


WORDS = re.compile(r"^(?!python manage\.py |pip install ).*[A-Za-z]{2,}[,:;]? [a-z]{2,}")


@pytest.mark.parametrize("language", ["de", "zh_Hans"])
def test_translation_keeps_what_is_filled_in_and_what_is_pasted(language):
    path = Path(django_spooler.__file__).parent / "locale" / language / "LC_MESSAGES" / "django.mo"
    with path.open("rb") as file:
        known = gettext.GNUTranslations(file)._catalog
    for key, translated in known.items():
        text = key if isinstance(key, str) else key[0]
        if text:
            assert set(KEPT.findall(text)) == set(KEPT.findall(translated)), text


KEPT = re.compile(
    r"%\(\w+\)\.?\d?[srgf]|OPTIONS\[[^\]]+\]|\b[A-Z]{3,}_[A-Z_]+\b|manage\.py \w+(?: \w+)?(?: --all)?"
    r"|[a-z]+-[a-z]+ = \w+|django_spooler\.\w+"
)


@pytest.mark.parametrize(
    ("language", "told"),
    [("zh-hans", "没有进程处理"), ("de", "Kein Prozess bedient"), ("en", "No process serves")],
)
def test_overview_tells_problems_in_the_reader_s_language(
    log_in_with, spool, settings, language, told
):
    settings.LANGUAGE_CODE = language
    shown = log_in_with("view_task").get(f"{LIST}overview/").content.decode()
    assert f"{told} {spool.directory}" in shown
    assert f"spooler = {spool.directory}\nimport = django_spooler.worker\n" in shown


def test_numbers_are_put_in_words_in_chinese_too():
    with translation.override("zh-hans"):
        text = translation.ngettext("%(count)s task: %(done)s", "%(count)s tasks: %(done)s", 2)
    assert text == "%(count)s 个任务：%(done)s"


# Other sites and themes


class Themed(ModelAdmin):
    """Stands for a theme's."""


office = AdminSite(name="office")


def test_pages_stand_in_the_site_and_extend_the_theme_that_is_set(log_in_with, spool, settings):
    chosen = {"ADMIN_SITE": f"{__name__}.office", "ADMIN_BASE": f"{__name__}.Themed"}
    entry = settings.TASKS["default"]
    settings.TASKS = {"default": {**entry, "OPTIONS": {**entry["OPTIONS"], **chosen}}}
    register()
    assert isinstance(office._registry[Task], Themed)
    urls = ModuleType("urls_of_the_office")
    urls.urlpatterns = [path("office/", office.urls)]
    with override_settings(ROOT_URLCONF=urls):
        shown = log_in_with("all").get("/office/django_spooler/task/").content.decode()
    assert "/office/django_spooler/task/failures/" in shown
