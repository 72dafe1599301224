"""This project."""

from datetime import timedelta

from django.utils import timezone

from benchmarks import board, sampling
from django_spooler import bulk_enqueue, spooler_task

__all__ = ["bulk_enqueue"]


@spooler_task
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


@spooler_task
def spin(seconds: float) -> None:
    """Compute for some time."""
    board.spin(seconds)


@spooler_task(max_attempts=1)
def fail(seconds: float) -> None:
    """Stand in ``failed``."""
    board.work(seconds)
    raise ValueError("it fails, as it was asked to")


@spooler_task
def sample(path: str | None) -> None:
    """Let the process that runs this sample itself, or end it and write to ``path``."""
    if path is None:
        sampling.start_sampling()
    else:
        sampling.stop_sampling(path)


enqueue = work.enqueue
enqueue_spinning = spin.enqueue
enqueue_failing = fail.enqueue


def enqueue_for_tomorrow(seconds: float) -> None:
    """Let a task wait for its time."""
    work.using(run_after=timezone.now() + timedelta(days=1)).enqueue(seconds)
