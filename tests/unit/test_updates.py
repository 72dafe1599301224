"""Ends of tasks whose commit did not wait for the disk, or failed: none is lost with a connection."""

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from django_spooler import results, updates
from django_spooler.backend import spooler_backends
from django_spooler.conf import Options
from django_spooler.models import TaskRecord

from . import tasks_for_tests as tasks

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.applies_if(connection.vendor != "sqlite"),  # its data would go with the connection
]
BACKEND = "django_spooler.backend.SpoolerBackend"


@pytest.fixture(autouse=True)
def kept_connection(monkeypatch):
    """Run tasks at once, with results, on a connection that is kept; each is the last one's next."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    monkeypatch.setattr(updates, "INTERVAL", 1e9)
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options()}}):
        yield


def options(**more):
    return {"RESULTS": "database", **more}


def forget(result) -> None:
    """Let the database know no more of a task than that it was started."""
    TaskRecord.objects.filter(id=result.id).update(status="RUNNING", finished_at=None)


def status_of(result) -> str:
    return spooler_backends()[0].get_result(result.id).status.name


def refuse(execute, sql, params, many, context):
    raise OperationalError("canceling statement due to lock timeout")


def save_while_the_database_is_away(result) -> None:
    with connection.execute_wrapper(refuse):
        results.save(result, Options(RESULTS="database"))
    connection.close()


@pytest.mark.applies_if(connection.vendor == "postgresql")
def test_end_that_a_crash_of_the_server_forgot_is_written_again():
    first, second = tasks.add.enqueue(1), tasks.add.enqueue(2)
    for result in (first, second):
        forget(result)
    connection.close()
    tasks.add.enqueue(3)
    assert status_of(second) == "SUCCESSFUL"


@pytest.mark.applies_if(connection.vendor == "postgresql")
def test_with_fsync_no_end_is_left_to_chance():
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options(FSYNC=True)}}):
        tasks.add.enqueue(1)
        result = tasks.add.enqueue(2)
        forget(result)
        connection.close()
        tasks.add.enqueue(3)
        assert status_of(result) == "RUNNING", "it was on the disk, and need not be written again"


def test_end_that_could_not_be_kept_is_once_the_database_is_back(caplog):
    result = tasks.add.enqueue(1)
    forget(result)
    save_while_the_database_is_away(result)
    assert f"The result of task id={result.id} could not be kept" in caplog.text
    assert status_of(result) == "RUNNING"
    tasks.add.enqueue(2)
    assert status_of(result) == "SUCCESSFUL"


def test_end_is_kept_though_the_start_was_not_either():
    result = tasks.add.enqueue(1)
    TaskRecord.objects.filter(id=result.id).update(
        status="READY", worker_ids=[], started_at=None, last_attempted_at=None, finished_at=None
    )
    save_while_the_database_is_away(result)
    tasks.add.enqueue(2)
    assert status_of(result) == "SUCCESSFUL"
    assert spooler_backends()[0].get_result(result.id).started_at == result.started_at


def test_end_that_could_not_be_kept_is_while_nothing_follows():
    result = tasks.add.enqueue(1)
    forget(result)
    save_while_the_database_is_away(result)
    results.send_again()
    assert status_of(result) == "SUCCESSFUL"


def test_end_that_was_refused_is_written_again_over_the_same_connection():
    """A lock that was not waited for, a deadlock: the connection lives on, and so did the old row."""
    result = tasks.add.enqueue(1)
    forget(result)
    with connection.execute_wrapper(refuse):
        results.save(result, Options(RESULTS="database"))
    tasks.add.enqueue(2)
    assert status_of(result) == "SUCCESSFUL"


def test_end_of_a_task_that_was_tried_again_meanwhile_is_not_written_again():
    result = tasks.add.enqueue(1)
    save_while_the_database_is_away(result)
    TaskRecord.objects.filter(id=result.id).update(
        status="RUNNING", last_attempted_at=result.finished_at.replace(year=2100)
    )
    tasks.add.enqueue(2)
    assert status_of(result) == "RUNNING"


def test_end_is_kept_at_once_over_a_new_connection_where_the_old_one_was_cut(caplog):
    """Its process may die before it writes it again: the task's file is gone then."""
    result = tasks.add.enqueue(1)
    forget(result)
    connection.connection.close()
    results.save(result, Options(RESULTS="database"))
    assert status_of(result) == "SUCCESSFUL"
    assert "could not be kept" not in caplog.text
