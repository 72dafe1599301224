"""django-q2."""

from functools import partial

from django_q.tasks import async_task

from benchmarks import board


def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = partial(async_task, work)
