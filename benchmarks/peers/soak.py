"""This project's tasks of the soak: of each size, priority and fate there are some."""

import itertools
import os
import random
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from benchmarks import board
from django_spooler import Retry, spooler_task
from django_spooler.context import SpoolerContext

_SIZES = (10, 1000, 70_000, 300_000)
"""Characters of an argument: small, and beyond what uWSGI's own packets carry."""

_ROUND = 20
"""Of so many tasks the last one fails for good, and the one before it succeeds at its second try; the
soak counts on it."""

_ENDED = Path(os.environ["BENCH_DIRECTORY"]) / "ended"
"""Where each process that runs tasks notes the numbers of those that came to their end."""
_ENDED.mkdir(exist_ok=True)

_numbers = itertools.count()
_chance = random.Random(os.environ.get("SOAK_SEED"))


@spooler_task(max_attempts=None)  # whatever is killed beside it, only what fails stands in failed
def work(number: int, seconds: float, payload: str) -> None:
    """Take some time."""
    board.work(seconds)
    _note_end(number)


@spooler_task(takes_context=True, backoff=0.1, max_attempts=None)
def succeed_later(context: SpoolerContext, number: int) -> None:
    """Succeed at the second try."""
    if context.attempt == 1:
        raise Retry(after=0.5)
    board.work()
    _note_end(number)


@spooler_task(max_attempts=1)
def fail() -> None:
    """Stand in ``failed``."""
    raise ValueError("it fails, as it was asked to")


def enqueue(seconds: float) -> None:
    """Enqueue the next task of the round, whatever ``seconds`` says."""
    number = next(_numbers)
    if number % _ROUND == _ROUND - 1:
        fail.enqueue()
    elif number % _ROUND == _ROUND - 2:
        succeed_later.enqueue(number)
    else:
        _enqueue_work(number)


def _enqueue_work(number: int) -> None:
    task = work.using(priority=_chance.choice([-100, 0, 0, 0, 50, 100]))
    if _chance.random() < 0.1:
        task = task.using(run_after=timezone.now() + timedelta(seconds=_chance.uniform(0, 2)))
    task.enqueue(number, _chance.choice([0, 0, 0.001, 0.01]), "x" * _chance.choice(_SIZES))


def _note_end(number: int) -> None:
    with (_ENDED / str(os.getpid())).open("a") as file:
        file.write(f"{number}\n")
