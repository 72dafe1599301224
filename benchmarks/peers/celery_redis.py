"""Celery on Redis, with what its guide to optimizing says for many short tasks."""

import os

from celery import Celery

from benchmarks import board

app = Celery(broker=f"redis://127.0.0.1:{os.environ['BENCH_REDIS']}/0")
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=128,
    worker_disable_rate_limits=True,
    worker_hijack_root_logger=False,
)


@app.task
def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


enqueue = work.delay
