"""Procrastinate; its worker is asynchronous, and a coroutine spares it a thread per task."""

import os
from functools import cache

from procrastinate import App, PsycopgConnector

from benchmarks import board

app = App(connector=PsycopgConnector(kwargs={"dbname": os.environ["BENCH_DATABASE"]}))


@app.task
async def work(seconds: float) -> None:
    """Take some time."""
    board.work(seconds)


@cache
def _open() -> App:
    return app.open()


def enqueue(seconds: float) -> None:
    """Defer a call, over a connection that stays open."""
    _open()
    work.defer(seconds=seconds)
