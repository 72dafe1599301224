"""uwsgi-tasks."""

from uwsgi_tasks import TaskExecutor, task

from benchmarks import board


@task(executor=TaskExecutor.SPOOLER)
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work
