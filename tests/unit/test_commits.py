"""A task follows the transactions it is enqueued in, and what was committed is not forgotten."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connections, transaction
from django.utils import timezone

from django_spooler import outbox
from django_spooler.backend import spooler_backends
from django_spooler.compat import TaskResultDoesNotExist
from django_spooler.exceptions import ManualTransaction, SpoolUnavailable
from django_spooler.models import TaskRecord
from django_spooler.spool.directory import Spool

from . import tasks_for_tests as tasks

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("backend"),
]
BOTH = ["default", "other"]


class _Undo(Exception):
    pass


def in_transactions(*endings):
    """Enqueue in one transaction within the other; give its result once they have ended so.

    An ending is the database and whether it commits, the inner transaction first.
    """
    if not endings:
        return tasks.add.enqueue(1)
    *inner, (alias, commits) = endings
    result = None
    try:
        with transaction.atomic(using=alias):
            result = in_transactions(*inner)
            if not commits:
                raise _Undo
    except _Undo:
        pass
    return result


def long_ago():
    """Let the time pass that the process that enqueued is given."""
    TaskRecord.objects.update(enqueued_at=timezone.now() - 2 * outbox.PATIENCE)


@pytest.mark.parametrize("inner, outer", [BOTH, BOTH[::-1]])
@pytest.mark.parametrize("inner_commits", [True, False])
@pytest.mark.parametrize("outer_commits", [True, False])
def test_task_waits_for_both_databases_and_is_dropped_if_either_rolls_back(
    queue, results, inner, outer, inner_commits, outer_commits
):
    with transaction.atomic(using="default"), transaction.atomic(using="other"):
        pass  # connects both
    result = in_transactions((inner, inner_commits), (outer, outer_commits))
    accepted = inner_commits and outer_commits
    assert queue.ids == ([result.id] if accepted else [])
    if results:
        # Two databases do not commit at one moment: what the first tells must not be believed.
        long_ago()
        outbox.publish_forgotten()
        assert queue.ids == ([result.id] if accepted else [])
        assert TaskRecord.objects.count() == accepted


@pytest.mark.parametrize("alias", BOTH)
def test_task_waits_for_the_only_database_that_is_in_a_transaction(queue, alias):
    with transaction.atomic(using=alias):
        result = tasks.add.enqueue(1)
        assert queue.ids == []
    assert queue.ids == [result.id]


def test_savepoint_that_is_rolled_back_takes_its_task_along(queue):
    with transaction.atomic():
        kept = tasks.add.enqueue(1)
        with pytest.raises(_Undo), transaction.atomic():
            tasks.add.enqueue(2)
            raise _Undo
    assert queue.ids == [kept.id]


def test_nested_blocks_are_one_transaction(queue):
    with transaction.atomic(durable=True):
        with transaction.atomic():
            result = tasks.add.enqueue(1)
        assert queue.ids == []
    assert queue.ids == [result.id]


def test_task_that_does_not_wait_stays_after_a_rollback(queue):
    with pytest.raises(_Undo), transaction.atomic():
        result = tasks.add_at_once.enqueue(1)
        assert queue.ids == [result.id]
        raise _Undo
    assert queue.ids == [result.id]


@pytest.mark.parametrize("alias", BOTH)
def test_task_is_refused_where_nobody_tells_of_the_commit(queue, alias):
    transaction.set_autocommit(False, using=alias)
    try:
        for block in (nullcontext(), transaction.atomic(using=alias)):
            with pytest.raises(ManualTransaction, match=f"'{alias}' is not in autocommit"), block:
                tasks.add.enqueue(1)
        transaction.rollback(using=alias)
        result = tasks.add_at_once.enqueue(1)
        transaction.commit()
    finally:
        transaction.rollback(using=alias)
        transaction.set_autocommit(True, using=alias)
    assert queue.ids == [result.id]


def test_robust_hook_that_fails_keeps_no_task_back(queue):
    def fail():
        raise RuntimeError("of the site")

    with transaction.atomic():
        transaction.on_commit(fail, robust=True)
        result = tasks.add.enqueue(1)
    assert queue.ids == [result.id]


@pytest.mark.parametrize("results", [None], indirect=True)
def test_task_that_the_directory_refused_after_the_commit_is_an_error_that_says_so(queue):
    queue.refuse()
    said = (
        f"The transaction is committed, but its task {tasks.add.module_path} id=.*correct the path"
    )
    with pytest.raises(SpoolUnavailable, match=said), transaction.atomic():
        Group.objects.create(name="committed")
        tasks.add.enqueue(1)
    assert Group.objects.filter(name="committed").exists()


@pytest.mark.parametrize("results", ["database"], indirect=True)
class TestOutbox:
    """What a runner does for a process that committed a task and wrote no file."""

    def test_committed_task_whose_process_died_is_queued_later(self, queue):
        with transaction.atomic():
            result = tasks.add.using(priority=7).enqueue(1, b=[2])
            connections["default"].run_on_commit.clear()  # as if it were killed right after
        assert queue.ids == []
        outbox.publish_forgotten()
        assert queue.ids == [], "the process has a minute for it"
        long_ago()
        outbox.publish_forgotten()
        outbox.publish_forgotten()
        assert queue.ids == [result.id]
        (message,) = queue.messages
        assert (message.task, message.args, message.kwargs, message.priority) == (
            tasks.add.module_path,
            [1],
            {"b": [2]},
            7,
        )

    def test_task_that_the_directory_refused_after_the_commit_is_queued_later(self, queue, caplog):
        queue.refuse()
        with transaction.atomic():
            result = tasks.add.enqueue(1)
        assert "is committed, but not queued yet" in caplog.text
        long_ago()
        outbox.publish_forgotten()
        assert "still cannot be queued" in caplog.text
        queue.take_again()
        outbox.publish_forgotten()
        assert queue.ids == [result.id]

    def test_task_that_cannot_be_queued_keeps_no_other_back(self, queue, caplog):
        queue.refuse()
        with transaction.atomic():
            tasks.add.using(run_after=timezone.now() + timedelta(days=1)).enqueue(1)
            other = tasks.add.enqueue(2)
        queue.take_again()
        Spool(str(queue.directory)).prepare()
        (queue.directory / "django" / "scheduled").rmdir()
        (queue.directory / "django" / "scheduled").write_text("")
        long_ago()
        outbox.publish_forgotten()
        assert queue.ids == [other.id]
        assert "still cannot be queued" in caplog.text

    def test_task_of_a_long_transaction_is_queued_once(self, queue):
        """A runner looked while the process was still at writing what it had committed.

        A transaction that takes longer than the patience is committed with rows that look
        forgotten at once, and with thousands of tasks their files take seconds to be written.
        """
        with transaction.atomic():
            first, second = tasks.add.enqueue(1), tasks.add.enqueue(2)
            long_ago()
            (_, write_first, *_), (_, write_second, *_) = connections["default"].run_on_commit
            connections["default"].run_on_commit.clear()
        write_first()
        outbox.publish_forgotten()
        write_second()
        assert sorted(queue.ids) == sorted([first.id, second.id])

    def test_result_that_was_deleted_takes_no_task_with_it(self, queue):
        with transaction.atomic():
            result = tasks.add.enqueue(1)
            TaskRecord.objects.all().delete()
        assert queue.ids == [result.id]

    def test_refused_task_leaves_no_result(self, queue):
        queue.refuse()
        with pytest.raises(SpoolUnavailable):
            tasks.add.enqueue(1)
        assert not TaskRecord.objects.exists()

    def test_result_of_a_rolled_back_task_is_unknown(self):
        result = in_transactions(("default", False))
        with pytest.raises(TaskResultDoesNotExist):
            spooler_backends()[0].get_result(result.id)
