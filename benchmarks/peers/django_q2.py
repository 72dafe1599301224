"""django-q2."""

from functools import cache

from django_q.brokers import get_broker
from django_q.tasks import async_task

from benchmarks import board


def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


_broker = cache(get_broker)


def enqueue(seconds: float) -> None:
    """Put a task there, through the one broker that is kept."""
    async_task(work, seconds, broker=_broker())
