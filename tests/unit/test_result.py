"""The result that ``enqueue`` returns: all of it is there, whenever it is asked for."""

import copy
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.utils import timezone

from django_spooler import result as results
from django_spooler.compat import TaskResultStatus

from . import tasks_for_tests as tasks


@pytest.fixture
def result(spool_of_two_queues):
    return tasks.add.enqueue(1, b=(2,))


def test_it_tells_of_a_call_that_was_not_tried(result):
    assert result.task is tasks.add
    assert (result.status, result.backend) == (TaskResultStatus.READY, "default")
    assert (result.args, result.kwargs) == ([1], {"b": [2]})
    assert timezone.now() - result.enqueued_at < timedelta(minutes=1)
    assert result.started_at is result.finished_at is result.last_attempted_at is None
    assert (result.errors, result.worker_ids, result.attempts) == ([], [], 0)
    assert not result.is_finished
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value


def test_its_lists_stay_what_they_are(result):
    assert result.errors is result.errors
    assert result.args is result.args


@pytest.fixture
def threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(4) as threads:
        yield threads
    sys.setswitchinterval(before)


def test_threads_that_ask_at_once_get_the_same_list(spool_of_two_queues, threads):
    all_four = Barrier(4)

    def ask(result):
        all_four.wait()
        return result.worker_ids

    for _ in range(200):
        result = tasks.add.enqueue(1)
        assert all(found is result.worker_ids for found in threads.map(ask, [result] * 4))


def test_what_is_filled_in_while_another_thread_asks_for_it_stays(result, monkeypatch):
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(results, "as_datetime", lambda timestamp: result.set(enqueued_at=later))
    _ = result.enqueued_at
    assert result.enqueued_at == later


def test_it_can_be_copied_compared_and_replaced_before_anything_was_asked(result):
    assert copy.copy(result) == result
    assert dataclasses.replace(copy.copy(result), backend="other").id == result.id


def test_it_is_frozen_and_has_nothing_else(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = TaskResultStatus.FAILED
    with pytest.raises(AttributeError, match="answer"):
        _ = result.answer
    assert not hasattr(result, "_message_of_others")
