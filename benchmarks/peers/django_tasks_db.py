"""django-tasks-db."""

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task

from benchmarks import board


@task
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work.enqueue
