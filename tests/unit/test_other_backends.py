"""A task of ours on a backend that is not: it works as that backend says."""

import pytest
from django.test import override_settings
from django.utils import timezone

from django_spooler import Retry, spooler_task
from django_spooler.compat import BaseTaskBackend, InvalidTask, TaskResultStatus, task_backends

from . import tasks_for_tests as tasks

FRAMEWORK = BaseTaskBackend.__module__.rpartition(".")[0]


@pytest.fixture(autouse=True)
def backends():
    with override_settings(
        TASKS={
            "default": {"BACKEND": "django_spooler.backend.SpoolerBackend"},
            "at_once": {"BACKEND": f"{FRAMEWORK}.immediate.ImmediateBackend"},
            "recorded": {"BACKEND": f"{FRAMEWORK}.dummy.DummyBackend"},
        }
    ):
        yield


def double(number):
    return 2 * number


def asks_again():
    raise Retry


def test_task_of_ours_runs_at_once_on_the_immediate_backend():
    task = spooler_task(backend="at_once", max_attempts=5, timeout=3)(double)
    result = task.enqueue(4)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 8)
    assert result.task is task
    assert task.delay(4).return_value == task(4) == 8


def test_immediate_backend_knows_no_other_try():
    result = spooler_task(backend="at_once")(asks_again).enqueue()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 1)
    assert [error.exception_class for error in result.errors] == [Retry]


def test_task_of_ours_is_recorded_by_the_dummy_backend():
    result = tasks.add.using(backend="recorded").enqueue(1, b=2)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [1], {"b": 2})
    assert task_backends["recorded"].results == [result]


def test_what_the_backend_cannot_do_is_refused_in_its_words():
    with pytest.raises(InvalidTask, match="does not support run_after"):
        tasks.add.using(backend="at_once", run_after=timezone.now())


def test_backend_of_another_package_that_cannot_be_made_stops_no_task_of_ours():
    ours = {"BACKEND": "django_spooler.backend.SpoolerBackend"}
    with override_settings(TASKS={"broken": {"BACKEND": "does.not.exist"}, "default": ours}):
        assert tasks.add.enqueue(1, b=2).return_value == 3
