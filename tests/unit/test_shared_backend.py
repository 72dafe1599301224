"""One backend of ours serves all threads and requests; where it could not, each has its own."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import override_settings

from django_spooler.backend import SpoolerBackend

from . import tasks_for_tests as tasks

made = []
used = []


class ForAll(SpoolerBackend):
    """Counts how often it is made, and how often it looks at a task."""

    is_for_all_threads = True

    def __init__(self, alias, params):
        super().__init__(alias, params)
        made.append(self)
        self.validated = []

    def validate_task(self, task):
        self.validated.append(task)
        super().validate_task(task)


class OfASite(SpoolerBackend):
    """A site's own, made from ours; it may keep what is of one thread only."""

    def enqueue(self, task, args, kwargs):
        used.append(self)
        return super().enqueue(task, args, kwargs)


@pytest.fixture
def backend():
    made.clear()
    with override_settings(TASKS={"default": {"BACKEND": f"{__name__}.ForAll"}}):
        tasks.add.enqueue(1)
        yield made[0]


def in_a_thread(call):
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(call).result()


def in_a_request(call):
    return contextvars.Context().run(call)


def test_task_of_any_thread_or_request_goes_to_the_same_backend_as_a_known_one(backend):
    for run in (in_a_thread, in_a_request):
        run(lambda: tasks.add.enqueue(1))
        run(lambda: asyncio.run(tasks.add.aenqueue(1)))
    assert (made, backend.validated) == ([backend], [tasks.add])


def test_task_made_by_using_is_looked_at_once(backend):
    changed = in_a_thread(lambda: tasks.add.using(priority=5).enqueue(1)).task
    assert (made, backend.validated) == ([backend], [tasks.add, changed])


def test_backend_of_a_site_is_each_threads_own_as_the_framework_has_it():
    with override_settings(TASKS={"default": {"BACKEND": f"{__name__}.OfASite"}}):
        used.clear()
        for run in (lambda call: call(), lambda call: call(), in_a_thread):
            run(lambda: tasks.add.enqueue(1))
    first, again, elsewhere = used
    assert first is again
    assert first is not elsewhere


def test_backend_shared_among_threads_is_made_anew_for_other_settings(backend):
    with override_settings(
        TASKS={"default": {"BACKEND": f"{__name__}.ForAll", "QUEUES": ["mail"]}}
    ):
        other = in_a_thread(
            lambda: tasks.add.using(queue_name="mail").enqueue(1).task.get_backend()
        )
        assert other.queues == {"mail"}
    assert tasks.add.get_backend() is not other
