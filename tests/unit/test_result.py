"""The result that ``enqueue`` returns: all of it is there, whenever it is asked for."""

import copy
import dataclasses
from datetime import timedelta

import pytest
from django.utils import timezone

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


def test_it_can_be_copied_compared_and_replaced_before_anything_was_asked(result):
    assert copy.copy(result) == result
    assert dataclasses.replace(copy.copy(result), backend="other").id == result.id


def test_it_is_frozen_and_has_nothing_else(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = TaskResultStatus.FAILED
    with pytest.raises(AttributeError, match="answer"):
        _ = result.answer
    assert not hasattr(result, "_message_of_others")
