"""django-tasks-db."""

from django.tasks import task

from benchmarks import board


@task
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work.enqueue
