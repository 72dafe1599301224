"""Tasks that the unit tests queue."""

import logging
import os

from django.db import transaction

from django_spooler import SPOOL_IGNORE, SPOOL_OK, SPOOL_RETRY, Retry, spooler_raw, spooler_task
from django_spooler.logs import request_id
from django_spooler.models import TaskRecord

calls: list[object] = []


@spooler_task
def add(a: int, b: int = 0) -> int:
    calls.append((a, b))
    return a + b


@spooler_task(enqueue_on_commit=False)
def add_at_once(a: int) -> int:
    return a


@spooler_task
def look_at(result_id: str, directory: str) -> list[object]:
    """Return how the task of a result stands, and how many files are claimed."""
    return [TaskRecord.objects.get(id=result_id).status, len(os.listdir(directory))]


@spooler_task(takes_context=True)
def look_at_itself(context: object) -> list[object]:
    record = TaskRecord.objects.get(id=context.task_result.id)
    return [record.status, record.finished_at, record.errors]


@spooler_task
def echo(*args: object, **kwargs: object) -> object:
    return [list(args), kwargs]


@spooler_task
async def add_async(a: int, b: int) -> int:
    return a + b


@spooler_task(takes_context=True, max_attempts=3)
def fail_twice(context: object) -> int:
    if context.attempt < 3:
        raise OSError("not yet")
    return context.attempt


@spooler_task(max_attempts=2)
def fail() -> None:
    raise ValueError("always")


@spooler_task(discard_on=(KeyError,))
def lose_interest() -> None:
    raise KeyError("gone")


@spooler_task(retry_on=(OSError,))
def fail_for_good() -> None:
    raise ValueError("no use")


@spooler_task(max_attempts=2)
def ask_again() -> None:
    raise Retry("later", after=5)


@spooler_task(timeout=0.05, max_attempts=1)
def too_slow() -> None:
    import time

    try:
        time.sleep(30)
    finally:
        calls.append("cleaned up")


@spooler_raw(max_attempts=1)
def raw(name: str) -> int:
    return {"ok": SPOOL_OK, "retry": SPOOL_RETRY, "ignore": SPOOL_IGNORE, "other": 7}[name]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@spooler_task(max_attempts=2)
def fails_without_words() -> None:
    raise Unspeakable


@spooler_task(redact=("password",), max_attempts=1)
def log_in(user: str, password: str, *, host: str = "") -> None:
    raise ValueError(f"{user} may not log in with {password}")


@spooler_task(max_attempts=2, backoff=0, redact=("text",))
def fails_with_secret(text: str) -> None:
    raise ValueError(f"no {text}") from KeyError(text)


@spooler_task(max_attempts=2, backoff=0)
def fails_openly(text: str) -> None:
    raise ValueError(f"no {text}")


@spooler_task(discard_on=(LookupError,))
def is_discarded(text: str) -> None:
    raise LookupError(text)


@spooler_task
def logs() -> None:
    logging.getLogger("site").info("during")


@spooler_task
def tells_request_id() -> None:
    calls.append(request_id.get())


@spooler_task
def enqueues_another() -> None:
    tells_request_id.enqueue()


@spooler_task
def repeat(text: str) -> str:
    return text * 2


@spooler_task(discard_on=(TypeError,))
def returns_a_set() -> set[int]:
    return {1}


@spooler_task
def leave_transaction_open() -> None:
    transaction.atomic().__enter__()


@spooler_task
def leave_autocommit_off() -> None:
    transaction.set_autocommit(False)
    TaskRecord.objects.count()


@spooler_task
def fork_and_return() -> None:
    if child := os.fork():
        os.waitpid(child, 0)
