"""When the end of a task is kept, and when its file goes: on PostgreSQL with the next one's start."""

import io
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from django_spooler import updates
from django_spooler.backend import spooler_backends
from django_spooler.compat import task_finished, task_started
from django_spooler.consumer import Consumer
from django_spooler.models import TaskRecord
from django_spooler.processes.recovery import Recovery
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.files import StillWritten
from django_spooler.spool.place import Place, claimed_name
from django_spooler.spool.queue import Claimed

from . import tasks_for_tests as tasks

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.applies_if(connection.vendor == "postgresql")


class Runner:
    """What a runner is to its consumer."""

    def __init__(self, directory):
        self.spool = Spool(directory)
        self.spool.prepare()
        self.running = Path(self.spool.path("running", "me"))
        self.running.mkdir()
        self.consumer = Consumer(self.spool, "me", io.BytesIO(), Counts(self.spool, "me"))

    def enqueue_and_run(self, task, *args):
        result = task.enqueue(*args)
        self.run(*self.take())
        return result

    def take(self):
        """Take the one file that is ready; return its name and content."""
        (path,) = Path(self.spool.path("ready")).rglob("uwsgi_*")
        content = path.read_bytes()
        path.unlink()
        return path.name, content

    def run(self, name, content):
        """Run a file with this content."""
        path = self.running / claimed_name(Place.of("default", 0), name)
        path.write_bytes(content)
        self.consumer.consume(Claimed(str(path), name, Place.of("default", 0)))

    @property
    def claimed(self):
        return os.listdir(self.running)


def use(settings, directory, **options):
    options = {
        "SPOOLERS": {"default": directory},
        "OUTSIDE_UWSGI": "spool",
        "RESULTS": "database",
        **options,
    }
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": backend}


@pytest.fixture
def runner(settings, tmp_path, monkeypatch):
    """Return one of a site whose connections are kept, and none of whose ends has to wait."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    monkeypatch.setattr(updates, "INTERVAL", 1e9)
    connection.close()  # it knows how long it may live since it was opened
    use(settings, tmp_path)
    runner = Runner(tmp_path)
    yield runner
    runner.consumer.finish()


def result_of(result):
    return spooler_backends()[0].get_result(result.id)


def status_of(result):
    return result_of(result).status.name


@contextmanager
def statements(refused=None):
    """Yield the UPDATEs that are sent; those that ``refused`` tells of fail."""
    seen = []

    def note(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            seen.append(sql)
            if refused is not None and refused(sql):
                raise DatabaseError("refused")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


@on_postgresql
def test_end_is_sent_with_the_next_start(runner):
    first = runner.enqueue_and_run(tasks.add, 1)
    assert status_of(first) == "RUNNING"
    assert len(runner.claimed) == 1, "its file stays until its end is kept"
    tasks.add.enqueue(2)
    file = runner.take()
    with statements() as sent:
        runner.run(*file)
    assert [sql.count("UPDATE") for sql in sent] == [2]
    assert status_of(first) == "SUCCESSFUL"


def test_task_finds_the_one_before_it_ended_and_alone_is_claimed(runner):
    first = runner.enqueue_and_run(tasks.add, 1)
    second = runner.enqueue_and_run(tasks.look_at, first.id, str(runner.running))
    runner.consumer.finish()
    assert result_of(second).return_value == ["SUCCESSFUL", 1]
    assert result_of(first).return_value == 1


def test_end_is_kept_when_nothing_follows(runner):
    result = runner.enqueue_and_run(tasks.add, 1)
    runner.consumer.finish()
    assert (status_of(result), runner.claimed) == ("SUCCESSFUL", [])


def test_end_is_kept_before_a_file_that_is_no_task(runner):
    result = runner.enqueue_and_run(tasks.add, 1)
    runner.run("nonsense", b"nonsense")
    assert (status_of(result), runner.claimed) == ("SUCCESSFUL", [])


def test_end_is_kept_before_a_file_that_is_still_written(runner):
    result = runner.enqueue_and_run(tasks.add, 1)
    with pytest.raises(StillWritten):
        runner.run("empty", b"")
    assert (status_of(result), len(runner.claimed)) == ("SUCCESSFUL", 1)


def test_end_that_waits_for_the_disk_is_kept_at_once(runner, settings, tmp_path):
    use(settings, tmp_path, FSYNC=True)
    assert_kept_at_once(runner)


@pytest.mark.parametrize("signal", [task_started, task_finished], ids=["start", "end"])
def test_end_is_kept_at_once_where_others_hear_of_tasks(runner, signal):
    def hear(**kwargs):
        pass

    signal.connect(hear)
    try:
        assert_kept_at_once(runner)
    finally:
        signal.disconnect(hear)


def test_end_is_kept_at_once_where_each_task_has_its_own_connection(runner, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    assert_kept_at_once(runner)


@on_postgresql
def test_end_is_kept_at_once_where_the_server_fills_in_values(runner, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", True)
    assert_kept_at_once(runner)


def assert_kept_at_once(runner):
    result = runner.enqueue_and_run(tasks.add, 1)
    assert (status_of(result), runner.claimed) == ("SUCCESSFUL", [])


@on_postgresql
def test_of_two_that_are_refused_together_each_is_kept(runner):
    first = runner.enqueue_and_run(tasks.add, 1)
    with statements(refused=lambda sql: sql.count("UPDATE") == 2) as sent:
        second = runner.enqueue_and_run(tasks.look_at, first.id, str(runner.running))
    assert [sql.count("UPDATE") for sql in sent if "status" in sql] == [2, 1, 1]
    runner.consumer.finish()
    assert result_of(second).return_value == ["SUCCESSFUL", 1]


@pytest.mark.applies_if(connection.vendor != "sqlite")  # its data would go with the connection
def test_end_outlasts_the_connection(runner):
    result = runner.enqueue_and_run(tasks.add, 1)
    connection.close()
    runner.consumer.finish()
    assert (status_of(result), runner.claimed) == ("SUCCESSFUL", [])


def test_end_makes_good_what_the_start_could_not_write(runner):
    starts = iter([True])
    with statements(refused=lambda sql: "started_at" in sql and next(starts, False)):
        result = runner.enqueue_and_run(tasks.add, 1)
    runner.consumer.finish()
    kept = result_of(result)
    assert (kept.status.name, kept.worker_ids) == ("SUCCESSFUL", ["me"])
    assert kept.started_at is not None


def test_start_clears_what_an_earlier_failure_left(runner):
    result = tasks.look_at_itself.enqueue()
    error = [{"exception_class_path": "builtins.ValueError", "traceback": ""}]
    TaskRecord.objects.filter(id=result.id).update(
        status="FAILED", finished_at=result.enqueued_at, errors=error
    )
    runner.run(*runner.take())
    runner.consumer.finish()
    assert result_of(result).return_value == ["RUNNING", None, []]
    assert result_of(result).errors == []


@pytest.mark.applies_if(connection.vendor != "sqlite")  # its data would go with the connection
@pytest.mark.parametrize("task", [tasks.leave_transaction_open, tasks.leave_autocommit_off])
def test_end_of_a_task_that_left_a_transaction_open_is_kept(runner, task):
    runner.enqueue_and_run(tasks.add, 1)
    result = runner.enqueue_and_run(task)
    runner.consumer.finish()
    assert status_of(result) == "SUCCESSFUL"


@pytest.mark.parametrize(("used_up", "status"), [(0, "READY"), (2, "FAILED")])
def test_death_of_a_task_leaves_the_time_it_began(runner, used_up, status):
    result = tasks.add.enqueue(1)
    began = timezone.now()
    TaskRecord.objects.filter(id=result.id).update(
        status="RUNNING", started_at=began, last_attempted_at=began
    )
    name, content = runner.take()
    name = f"{name};a={used_up}" if used_up else name
    (runner.running / claimed_name(Place.of("default", 0), name)).write_bytes(content)
    Recovery(runner.spool).recover("me", "signal 9")
    kept = result_of(result)
    assert kept.status.name == status
    assert (kept.started_at, kept.last_attempted_at) == (began, began)
    assert (kept.finished_at is not None) == (status == "FAILED")
