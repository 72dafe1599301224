"""What is enqueued in a block of ``bulk_enqueue`` is queued together at its end, or not at all."""

import asyncio
import contextlib
import os
import threading
from contextvars import copy_context

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from django_spooler import bulk_enqueue
from django_spooler.compat import TaskResultDoesNotExist, task_enqueued
from django_spooler.exceptions import EnqueueError, ManualTransaction, SpoolUnavailable
from django_spooler.models import TaskRecord

from . import tasks_for_tests as tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backend")]

MANY = 250
"""More than are handed over at a time."""


class _Undo(Exception):
    pass


@pytest.fixture
def announced():
    """Return the ids of the tasks that are said to be enqueued, as they come."""
    ids = []

    def note(task_result, **kwargs):
        ids.append(task_result.id)

    task_enqueued.connect(note)
    yield ids
    task_enqueued.disconnect(note)


def test_tasks_are_queued_in_their_order_at_the_end_of_the_block(queue, announced):
    with bulk_enqueue():
        enqueued = [tasks.add.enqueue(number).id for number in range(MANY)]
        assert queue.ids == announced == []
    assert queue.ids == announced == enqueued
    assert [message.args for message in queue.messages] == [[number] for number in range(MANY)]


def test_tasks_of_all_kinds_go_each_where_it_belongs(queue):
    with bulk_enqueue():
        second = tasks.add.enqueue(1)
        at_once = tasks.add_at_once.enqueue(2)
        other = tasks.echo.using(priority=7).enqueue(3)
    assert sorted(queue.ids) == sorted([second.id, at_once.id, other.id])
    assert {message.id: message.priority for message in queue.messages}[other.id] == 7


def test_an_exception_queues_nothing(queue, announced):
    with pytest.raises(_Undo), bulk_enqueue():
        tasks.add.enqueue(1)
        raise _Undo
    after = tasks.add.enqueue(2)
    assert queue.ids == announced == [after.id]
    assert not TaskRecord.objects.exclude(id=after.id).exists()


def test_block_within_a_block_is_a_part_of_it(queue):
    with bulk_enqueue():
        first = tasks.add.enqueue(1)
        with bulk_enqueue():
            second = tasks.add.enqueue(2)
        with pytest.raises(_Undo), bulk_enqueue():
            tasks.add.enqueue(3)
            raise _Undo
        assert queue.ids == []
    assert queue.ids == [first.id, second.id]


@pytest.mark.parametrize("results", ["database"], indirect=True)
def test_results_are_kept_many_at_a_time(queue, django_assert_max_num_queries):
    with django_assert_max_num_queries(20), bulk_enqueue():  # SQLite takes some 50 rows at a time
        enqueued = [tasks.add.enqueue(number) for number in range(150)]
        with pytest.raises(TaskResultDoesNotExist):
            enqueued[0].refresh()
    enqueued[0].refresh()
    assert TaskRecord.objects.filter(published=True).count() == 150


class TestTransactions:
    """A block and the transactions around and inside it."""

    def test_block_in_a_transaction_waits_for_the_commit(self, queue):
        with transaction.atomic():
            with bulk_enqueue():
                enqueued = [tasks.add.enqueue(number).id for number in range(3)]
            assert queue.ids == []
        assert queue.ids == enqueued

    def test_block_in_a_transaction_that_is_rolled_back_queues_nothing(self, queue):
        with pytest.raises(_Undo), transaction.atomic():
            with bulk_enqueue():
                tasks.add.enqueue(1)
            raise _Undo
        assert queue.ids == []
        assert not TaskRecord.objects.exists()

    def test_block_in_a_savepoint_that_is_rolled_back_queues_nothing(self, queue):
        with transaction.atomic():
            with pytest.raises(_Undo), transaction.atomic():
                with bulk_enqueue():
                    tasks.add.enqueue(1)
                raise _Undo
            after = tasks.add.enqueue(2)
        assert queue.ids == [after.id]

    def test_transaction_inside_the_block_decides_for_its_own_tasks(self, queue):
        with bulk_enqueue():
            with transaction.atomic():
                committed = tasks.add.enqueue(1)
            with pytest.raises(_Undo), transaction.atomic():
                tasks.add.enqueue(2)
                raise _Undo
            assert queue.ids == [committed.id]

    def test_savepoint_inside_the_block_decides_for_its_own_tasks(self, queue):
        with transaction.atomic(), bulk_enqueue():
            outer = tasks.add.enqueue(1)
            with pytest.raises(_Undo), transaction.atomic():
                tasks.add.enqueue(2)
                raise _Undo
        assert queue.ids == [outer.id]

    def test_transaction_that_is_ended_by_hand_is_refused_inside_the_block_as_outside(self, queue):
        with bulk_enqueue():
            transaction.set_autocommit(False)
            try:
                with pytest.raises(ManualTransaction, match="autocommit"):
                    tasks.add.enqueue(1)
                transaction.rollback()
            finally:
                transaction.set_autocommit(True)
        assert queue.ids == []

    @pytest.mark.parametrize("results", ["database"], indirect=True)
    def test_result_that_was_deleted_takes_no_task_with_it(self, queue):
        with transaction.atomic():
            with bulk_enqueue():
                enqueued = [tasks.add.enqueue(number).id for number in range(3)]
            TaskRecord.objects.filter(id=enqueued[1]).delete()
        assert queue.ids == enqueued

    @pytest.mark.parametrize("results", ["database"], indirect=True)
    def test_task_that_was_queued_by_a_runner_meanwhile_is_queued_once(self, queue):
        with transaction.atomic():
            with bulk_enqueue():
                enqueued = [tasks.add.enqueue(number).id for number in range(3)]
            TaskRecord.objects.filter(id=enqueued[1]).update(published=True)
        assert queue.ids == [enqueued[0], enqueued[2]]


class TestRefusals:
    """A directory that does not take the tasks."""

    def test_none_is_queued_and_no_result_is_left(self, queue, announced):
        queue.refuse()
        with pytest.raises(SpoolUnavailable, match=r"0 of 3 tasks are queued: .*correct the path"):
            with bulk_enqueue():
                for number in range(3):
                    tasks.add.enqueue(number)
        queue.take_again()
        assert queue.ids == announced == []
        assert not TaskRecord.objects.exists()

    def test_error_tells_how_many_of_the_block_are_queued(self, queue, announced):
        def refuse(task_result, **kwargs):
            if len(announced) == 100:
                queue.directory.rename(queue.directory.with_name("before"))
                queue.refuse()

        task_enqueued.connect(refuse)
        try:
            with pytest.raises(SpoolUnavailable, match=rf"^100 of {MANY} tasks are queued: "):
                with bulk_enqueue():
                    for number in range(MANY):
                        tasks.add.enqueue(number)
        finally:
            task_enqueued.disconnect(refuse)
        assert len(announced) == 100

    def test_inline_task_that_raises_leaves_none_behind_it_accepted(
        self, settings, results, announced
    ):
        settings.TASKS["default"]["OPTIONS"] = {"RESULTS": results, "INLINE_RAISES": True}
        settings.TASKS = {**settings.TASKS}
        with pytest.raises(ValueError), bulk_enqueue():
            enqueued = [task.enqueue(*args).id for task, *args in [(tasks.add, 1), (tasks.fail,)]]
            tasks.add.enqueue(2)
        assert announced == enqueued
        assert TaskRecord.objects.count() == (2 if results else 0)

    def test_after_the_commit_the_error_says_so(self, queue, results, caplog):
        queue.refuse()

        def enqueue():
            with transaction.atomic(), bulk_enqueue():
                return [tasks.add.enqueue(number).id for number in range(3)]

        if results:
            assert TaskRecord.objects.filter(id__in=enqueue(), published=False).count() == 3
            assert "is committed, but not queued yet" in caplog.text
        else:
            with pytest.raises(
                SpoolUnavailable, match=r"committed, but of its 3 tasks from .* 0 are queued"
            ):
                enqueue()


@pytest.mark.parametrize("results", ["database"], indirect=True)
def test_block_with_results_that_ends_in_a_coroutine_is_refused_with_the_remedy(queue):
    def enqueue():
        with contextlib.closing(connection), bulk_enqueue():
            return [tasks.add.enqueue(number).id for number in range(2)]

    async def enqueue_wrongly():
        with bulk_enqueue():
            await tasks.add.aenqueue(1)

    with pytest.raises(EnqueueError, match="sync_to_async"):
        asyncio.run(enqueue_wrongly())
    assert queue.ids == []
    assert asyncio.run(sync_to_async(enqueue)()) == queue.ids


@pytest.mark.parametrize("results", [None], indirect=True)
class TestConcurrency:
    """What a block starts beside itself."""

    def test_coroutines_are_collected_too(self, queue):
        async def enqueue():
            with bulk_enqueue():
                found = await asyncio.gather(*map(tasks.add.aenqueue, range(3)))
                assert queue.ids == []
            return [result.id for result in found]

        assert sorted(asyncio.run(enqueue())) == sorted(queue.ids)

    def test_what_comes_after_the_end_of_the_block_is_queued_at_once(self, queue):
        async def enqueue():
            ended = asyncio.Event()

            async def enqueue_late():
                await ended.wait()
                return tasks.add.enqueue(1)

            with bulk_enqueue():
                late = asyncio.create_task(enqueue_late())
                await asyncio.sleep(0)
            assert queue.ids == []
            ended.set()
            return await late

        late = asyncio.run(enqueue())
        assert queue.ids == [late.id]

    def test_transaction_of_another_thread_decides_for_its_own_tasks(self, queue):
        def enqueue_and_undo():
            with pytest.raises(_Undo), transaction.atomic():
                tasks.add.enqueue(1)
                raise _Undo
            connection.connection.close()  # Django leaves one to memory open

        with transaction.atomic(), bulk_enqueue():
            thread = threading.Thread(target=copy_context().run, args=[enqueue_and_undo])
            thread.start()
            thread.join()
        assert queue.ids == []

    def test_process_forked_in_the_block_queues_its_own_tasks_alone(self, queue):
        child = None
        try:
            with bulk_enqueue():
                tasks.add.enqueue(1)
                child = os.fork()
                if not child:
                    tasks.add.enqueue(2)
        finally:
            if child == 0:
                os._exit(0)
        os.waitpid(child, 0)
        assert sorted(message.args for message in queue.messages) == [[1], [2]]

    def test_block_of_a_generator_may_end_in_another_context(self, queue):
        async def enqueue():
            async def generator():
                with bulk_enqueue():
                    tasks.add.enqueue(1)
                    yield

            left = generator()
            await asyncio.create_task(anext(left))
            with pytest.raises(StopAsyncIteration):
                await anext(left)

        asyncio.run(enqueue())
        assert [message.args for message in queue.messages] == [[1]]
