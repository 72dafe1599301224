"""Huey on Redis; nobody reads a result, so none is kept."""

import os

from huey import RedisHuey

from benchmarks import board

huey = RedisHuey(results=False, host="127.0.0.1", port=int(os.environ["BENCH_REDIS"]))


@huey.task()
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work
