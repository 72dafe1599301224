"""What log records tell of a task, what they hide, and the request's id that travels with it."""

import io
import logging
import os
from contextvars import ContextVar
from pathlib import Path

import pytest

from django_spooler.compat import framework_logger
from django_spooler.consumer import Consumer
from django_spooler.exceptions import InvalidOptions
from django_spooler.logs import FIELDS, TaskFilter, request_id
from django_spooler.processes.recovery import Recovery
from django_spooler.signals import task_failed, task_retried
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.place import Place
from django_spooler.spool.queue import Claimed

from . import tasks_for_tests as tasks
from .test_inline import Heard

OWN = "django_spooler"
SECRET = "it's a secret"

other_variable: ContextVar[object] = ContextVar("other_variable")
no_variable = "text"


@pytest.fixture(autouse=True)
def every_record(caplog):
    caplog.set_level(logging.INFO, OWN)
    caplog.set_level(logging.INFO, framework_logger.name)


@pytest.fixture
def spool(settings, tmp_path):
    spool = Spool(tmp_path)
    use(settings, SPOOLERS={"default": tmp_path}, OUTSIDE_UWSGI="spool")
    return spool


def use(settings, **options):
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": backend}


def run(spool):
    """Run what is ready, as a spooler's process does."""
    for path in Path(spool.path("ready")).rglob("uwsgi_*"):
        Consumer(spool, "me", io.BytesIO(), Counts(spool, "me")).consume(
            Claimed(str(path), path.name, Place.of("default", 0))
        )


def told(caplog, name=OWN):
    """Return the records about tasks."""
    records = [record for record in caplog.records if record.name == name]
    return [record for record in records if name != OWN or hasattr(record, "task_id")]


@pytest.mark.parametrize(
    ("task", "levels"),
    [
        (tasks.repeat, ["INFO"]),
        (tasks.fails_with_secret, ["WARNING", "ERROR"]),
        (tasks.is_discarded, ["INFO"]),
    ],
)
def test_each_end_of_a_try_is_one_record_with_its_fields(caplog, task, levels):
    result = task.enqueue(SECRET)
    assert [record.levelname for record in told(caplog)] == levels
    for attempt, record in enumerate(told(caplog), 1):
        assert (record.task_id, record.task_name) == (result.id, task.module_path)
        assert (record.attempt, record.queue, record.request_id) == (attempt, "default", None)
        assert 0 < record.duration < 5


def test_file_that_is_set_aside_has_them_too(caplog, spool):
    result = tasks.add.enqueue(1)
    (path,) = Path(spool.path("ready")).rglob("uwsgi_*")
    path.write_bytes(path.read_bytes().replace(b".tests_for_tests.add", b".gone"))
    path.write_bytes(path.read_bytes().replace(b"tasks_for_tests.add", b"tasks_for_tests.xxx"))
    run(spool)
    (record,) = told(caplog)
    assert (record.task_id, record.task_name.rpartition(".")[2]) == (result.id, "xxx")
    assert (record.levelname, record.queue, record.duration) == ("ERROR", "default", None)


def test_task_that_was_cut_or_killed_has_them_too(caplog, spool):
    result = tasks.add.enqueue(1)
    (path,) = Path(spool.path("ready")).rglob("uwsgi_*")
    for death in (None, "signal 9"):
        running = Path(spool.path("running", "dead"))
        running.mkdir(parents=True, exist_ok=True)
        (path,) = Path(spool.tree).rglob("uwsgi_*")
        os.rename(path, running / f"100:default:{path.name}")
        Recovery(spool).recover("dead", death)
    assert [record.task_id for record in told(caplog)] == [result.id] * 2
    assert [record.levelname for record in told(caplog)] == ["WARNING", "ERROR"]


def texts(records):
    formatter = logging.Formatter()
    return [formatter.format(record) for record in records]


@pytest.fixture
def heard_by_framework():
    """Return the records of the framework that reach a handler of its own, as mail to ADMINS."""
    handler, records = logging.Handler(), []
    handler.emit = records.append
    framework_logger.addHandler(handler)
    yield records
    framework_logger.removeHandler(handler)


def test_what_a_task_does_not_show_stands_in_no_record(caplog, heard_by_framework):
    tasks.fails_with_secret.enqueue(SECRET)
    own, framework = texts(told(caplog)), texts(heard_by_framework)
    assert ["Traceback" in text for text in own] == [True, True]
    assert any("Traceback" in text for text in framework)
    for text in own + framework:
        assert SECRET not in text
        assert repr(SECRET)[1:-1] not in text
    assert all("ValueError: no ********" in text for text in own)


def test_reason_that_receivers_are_given_hides_it_too():
    reasons = []

    def note(reason, **kwargs):
        reasons.append(reason)

    task_failed.connect(note)
    try:
        tasks.fails_with_secret.enqueue(SECRET)
    finally:
        task_failed.disconnect(note)
    assert reasons == ["ValueError: no ******** (attempt 2 of 2)"]


def test_failure_is_told_once_to_each_handler(caplog, heard_by_framework):
    tasks.fails_openly.enqueue("seen")
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.name for record in failures] == [OWN]
    (told_by_framework,) = (one for one in heard_by_framework if one.levelno == logging.ERROR)
    assert told_by_framework.exc_info[0] is ValueError


def test_failure_that_nobody_hears_of_us_is_told_by_the_framework(caplog):
    logging.getLogger(OWN).setLevel(logging.CRITICAL)  # caplog puts it back
    tasks.fails_openly.enqueue("seen")
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.name for record in failures] == [framework_logger.name]


def test_handler_that_raises_changes_no_outcome(capfd):
    handler = logging.Handler()
    handler.emit = lambda record: 1 / 0
    logging.getLogger(OWN).addHandler(handler)
    try:
        with Heard(task_retried) as retried, Heard(task_failed) as failed:
            result = tasks.fails_openly.enqueue("seen")
    finally:
        logging.getLogger(OWN).removeHandler(handler)
    assert (len(result.errors), len(retried), len(failed)) == (2, 1, 1)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_traceback_of_a_task_that_hides_nothing_is_its_own(caplog):
    tasks.fails_openly.enqueue("seen")
    assert all("ValueError: no seen" in text for text in texts(told(caplog)))
    assert told(caplog)[0].exc_info[0] is ValueError


def test_filter_tells_of_the_task_in_every_record_made_while_it_runs(caplog):
    handler = logging.Handler()
    records = []
    handler.emit = records.append
    handler.addFilter(TaskFilter())
    for name in ("site", framework_logger.name, OWN):
        logging.getLogger(name).addHandler(handler)
    caplog.set_level(logging.INFO, "site")
    try:
        logging.getLogger("site").info("before")
        result = tasks.logs.enqueue()
        logging.getLogger("site").info("after")
    finally:
        for name in ("site", framework_logger.name, OWN):
            logging.getLogger(name).removeHandler(handler)
    before, *during, after = records
    assert {record.name for record in during} == {"site", framework_logger.name, OWN}
    assert {record.task_id for record in during} == {result.id}
    assert {(record.attempt, record.queue) for record in during} == {(1, "default")}
    for record in (before, after):
        assert [getattr(record, name) for name in FIELDS] == [None] * len(FIELDS)


def test_id_of_the_request_travels_with_the_task_and_those_it_enqueues(caplog, spool):
    token = request_id.set("abc")
    tasks.enqueues_another.enqueue()
    request_id.reset(token)
    run(spool)
    assert request_id.get() is None
    run(spool)
    assert [record.request_id for record in told(caplog)] == ["abc", "abc"]
    assert tasks.calls[-1] == "abc"


def test_site_may_name_its_own_variable(caplog, settings):
    use(settings, REQUEST_ID=f"{__name__}.other_variable")
    token = other_variable.set(7)
    tasks.tells_request_id.enqueue()
    other_variable.reset(token)
    assert told(caplog)[0].request_id == "7"
    assert tasks.calls[-1] == "7"


@pytest.mark.parametrize(
    ("name", "finding"),
    [("no_variable", "not a contextvars.ContextVar"), ("gone", "does not define")],
)
def test_wrong_variable_is_refused(settings, name, finding):
    use(settings, REQUEST_ID=f"{__name__}.{name}")
    with pytest.raises(InvalidOptions, match=finding):
        tasks.add.enqueue(1)
