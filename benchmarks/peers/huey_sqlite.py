"""Huey on SQLite; nobody reads a result, so none is kept."""

import os

from huey import SqliteHuey

from benchmarks import board

huey = SqliteHuey(results=False, filename=f"{os.environ['BENCH_DIRECTORY']}/huey.sqlite3")


@huey.task()
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work
