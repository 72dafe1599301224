"""With SIGNED only what the site itself wrote is run, where and as it wrote it."""

import io
import json
import os
import time

import pytest
from django.core.signing import Signer
from django.test import override_settings

from django_spooler import message, overview
from django_spooler.consumer import Consumer
from django_spooler.exceptions import NewerTask, UntrustedTask
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.packet import MARK, encode
from django_spooler.spool.place import Place
from django_spooler.spool.queue import Claimed

from . import tasks_for_tests as tasks

BACKEND = "django_spooler.backend.SpoolerBackend"
PLACE = Place("default", 100)
MESSAGE = message.Message(
    id="a1",
    task=tasks.add.module_path,
    args=[1],
    kwargs={"b": 2},
    queue="default",
    priority=0,
    backend="default",
    enqueued_at=1.5,
    run_after=None,
)
LINE = message.encode(MESSAGE, signed=False)
OTHERS = {
    "id": "a2",
    "task": tasks.echo.module_path,
    "args": [2],
    "kwargs": {},
    "queue": "mail",
    "priority": 50,
    "backend": "other",
    "enqueued_at": 2.5,
    "run_after": 2.5,
    "redact": [0],
}


@pytest.fixture(autouse=True)
def signed_site():
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"SIGNED": True}}}):
        tasks.calls.clear()
        yield


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    spool.prepare()
    os.mkdir(spool.path("running", "me"))
    return spool


def consume(spool, line, *, place=PLACE, name="name"):
    """Let a runner take a file with this line."""
    path = spool.path("running", "me", "file")
    with open(path, "wb") as file:
        file.write(encode(MARK, line))
    Consumer(spool, "me", io.BytesIO(), Counts(spool, "me")).consume(Claimed(path, name, place))
    return next(overview.entries(spool, "failed"), None)


def signed(**fields):
    return message.encode(message.Message(**{**fields_of(MESSAGE), **fields}), signed=True)


def fields_of(found):
    return {name: getattr(found, name) for name in OTHERS}


def test_task_of_the_site_runs(spool):
    assert consume(spool, signed()) is None
    assert tasks.calls == [(1, 2)]


@pytest.mark.parametrize("name", OTHERS)
def test_changed_field_breaks_the_signature(spool, name):
    text, _, signature = signed().decode().strip().rpartition(":")
    changed = json.dumps({**json.loads(text), name: OTHERS[name]}, separators=(",", ":"))
    entry = consume(spool, f"{changed}:{signature}\n".encode())
    assert entry.reason.startswith("UntrustedTask")
    assert tasks.calls == []


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        LINE.replace(b"}\n", b"}:\n"),
        LINE.replace(b"}\n", b"}:" + b"A" * 43 + b"\n"),
        b":" + signed(),
        signed(task=tasks.echo.module_path).partition(b"}:")[0]
        + b"}:"
        + signed().partition(b"}:")[2],
    ],
    ids=["unsigned", "empty", "made up", "twice", "another task's"],
)
def test_signature_of_another_kind_is_none(spool, line):
    assert consume(spool, line).reason.startswith(("UntrustedTask", "DamagedTask"))
    assert tasks.calls == []


@pytest.mark.parametrize("place", [Place("mail", 100), Place("default", 0)])
def test_task_that_was_moved_to_another_queue_or_priority_is_set_aside(spool, place):
    entry = consume(spool, signed(), place=place)
    assert entry.reason.startswith("UntrustedTask: it stands in queue")
    assert (entry.task, tasks.calls) == (MESSAGE.task, [])


@pytest.mark.parametrize("place", [Place("mail", 100), Place("default", 0)])
def test_task_of_another_place_is_set_aside_where_nothing_is_signed_too(spool, place):
    with override_settings(TASKS={"default": {"BACKEND": BACKEND}}):
        entry = consume(spool, LINE, place=place)
    assert entry.reason.startswith("UntrustedTask: it stands in queue")
    assert tasks.calls == []


def test_task_that_was_moved_to_ready_before_its_time_waits_for_it_all_the_same(spool):
    due = time.time() + 60
    assert consume(spool, signed(run_after=due)) is None
    (entry,) = overview.entries(spool, "scheduled")
    assert abs(entry.due.timestamp() - due) < 0.001
    assert tasks.calls == []
    assert consume(spool, signed(run_after=time.time() - 1)) is None
    assert tasks.calls == [(1, 2)]


@pytest.mark.parametrize("fields", [{"id": "../a1"}, {"id": ""}, {"id": "é"}, {"id": "a" * 65}])
def test_message_with_an_id_that_is_none_is_set_aside(spool, fields):
    assert consume(spool, signed(**fields)).reason.startswith("DamagedTask: its id")
    assert tasks.calls == []


@pytest.mark.parametrize("fields", [{"queue": "../mail"}, {"priority": 101}])
def test_message_for_a_place_that_cannot_be_is_set_aside(spool, fields):
    assert consume(spool, signed(**fields)).reason.startswith("DamagedTask: ")
    assert tasks.calls == []


def test_newer_version_is_believed_only_with_a_signature_too():
    signer = Signer(salt="django_spooler.message")
    newer = LINE.replace(b'{"v":1', b'{"v":2').strip()
    with pytest.raises(UntrustedTask):
        message.decode(newer, signed=True)
    with pytest.raises(NewerTask):
        message.decode(signer.sign(newer.decode()).encode(), signed=True)


def test_forged_journal_and_attempts_change_nothing_but_their_count(spool):
    forged = {"attempt": 1, "at": 1.0, "error": "x", "traceback": "\x1b[2J", "worker": "nobody"}
    journal = json.dumps(forged).encode() + b"\n" + b'{"attempt":[]}\n\xff\n' + b"\n" * 100_000
    assert consume(spool, signed() + journal, name="name;a=999999") is None
    assert tasks.calls == [(1, 2)]


def test_key_that_was_rotated_out_is_accepted_while_it_is_a_fallback(spool, settings):
    line = signed()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "new"
    assert consume(spool, line) is None
    settings.SECRET_KEY_FALLBACKS = []
    assert consume(spool, line).reason.startswith("UntrustedTask")


def test_site_that_asks_for_no_signature_reads_signed_tasks(spool):
    line = signed()
    with override_settings(TASKS={"default": {"BACKEND": BACKEND}}):
        assert consume(spool, line) is None
    assert tasks.calls == [(1, 2)]


def test_where_one_backend_signs_all_do(tmp_path):
    options = {"OUTSIDE_UWSGI": "spool", "SPOOLERS": {"default": str(tmp_path)}}
    entries = {
        "default": {"BACKEND": BACKEND, "OPTIONS": options},
        "careful": {"BACKEND": BACKEND, "OPTIONS": {"SIGNED": True}},
    }
    with override_settings(TASKS=entries):
        tasks.add.enqueue(1, 2)
        (entry,) = overview.entries(Spool(tmp_path), "ready")
        with open(entry.file, "rb") as file:
            line = file.read().partition(b'{"v"')[2]
        message.decode(b'{"v"' + line.strip(), signed=True)


def test_task_of_a_newer_version_waits_in_failed_until_this_one_reads_it(spool, monkeypatch):
    monkeypatch.setattr(message, "VERSION", 2)
    newer = signed()
    monkeypatch.setattr(message, "VERSION", 1)
    entry = consume(spool, newer)
    assert entry.reason.startswith("NewerTask: the message has format 2")
    monkeypatch.setattr(message, "VERSION", 2)
    assert spool.retry(entry.id)
    (ready,) = overview.entries(spool, "ready")
    path = spool.path("running", "me", "file")
    os.rename(ready.file, path)
    Consumer(spool, "me", io.BytesIO(), Counts(spool, "me")).consume(
        Claimed(path, os.path.basename(ready.file), PLACE)
    )
    assert tasks.calls == [(1, 2)]
    assert not list(overview.entries(spool, "failed"))
