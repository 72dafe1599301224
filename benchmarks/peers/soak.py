"""This project's tasks of the soak: of each size, priority and fate there are some."""

import itertools
import random
from datetime import timedelta

from django.utils import timezone

from benchmarks import board
from django_spooler import Retry, spooler_task
from django_spooler.context import SpoolerContext

_SIZES = (10, 1000, 70_000, 300_000)
"""Characters of an argument: small, and beyond what uWSGI's own packets carry."""


@spooler_task(max_attempts=None)  # whatever is killed beside it, only what fails stands in failed
def work(seconds: float, payload: str) -> None:
    """Take some time."""
    board.work(seconds)


@spooler_task(takes_context=True, backoff=0.1, max_attempts=None)
def succeed_later(context: SpoolerContext) -> None:
    """Succeed at the second try."""
    if context.attempt == 1:
        raise Retry(after=0.5)
    board.work()


@spooler_task(max_attempts=1)
def fail() -> None:
    """Stand in ``failed``."""
    raise ValueError("it fails, as it was asked to")


def _some_work() -> None:
    task = work.using(priority=random.choice([-100, 0, 0, 0, 50, 100]))
    if random.random() < 0.1:
        task = task.using(run_after=timezone.now() + timedelta(seconds=random.uniform(0, 2)))
    task.enqueue(random.choice([0, 0, 0.001, 0.01]), "x" * random.choice(_SIZES))


# Of twenty tasks one fails for good: the soak counts on it.
_kinds = itertools.cycle([*[_some_work] * 18, succeed_later.enqueue, fail.enqueue])


def enqueue(seconds: float) -> None:
    """Enqueue the next task of the round, whatever ``seconds`` says."""
    next(_kinds)()
