"""The shop's tasks; each records what a test asks about."""

import asyncio
import contextvars
import hashlib
import os
import signal

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone, translation
from mysite.events import record, recorded, wait_at

from django_spooler import Retry, StopSpooling, spooler_forever, spooler_raw, spooler_task

from .database import look
from .models import Order

VERSION = 1
visitor = contextvars.ContextVar("visitor", default=None)


@spooler_task
def send_invoice(number, note):
    record("send_invoice", number=number, note=note)


@spooler_task
def echo(*args, **kwargs):
    record("echo", args=args, kwargs=kwargs)
    return [args, kwargs]


@spooler_task
def awkward_names(
    self, task, func, args, kwargs, body, at, priority, spooler, message, name, context
):
    record("awkward_names", values=locals())


@spooler_task
def measure(text):
    digest = hashlib.sha256(text.encode()).hexdigest()
    record("measure", size=len(text), digest=digest)


@spooler_task
async def on_the_loop(value):
    await asyncio.sleep(0)
    record("on_the_loop", value=value, task=asyncio.current_task() is not None)
    return value


@spooler_task(takes_context=True)
def with_context(context, value):
    record(
        "with_context",
        value=value,
        attempt=context.attempt,
        id=context.task_result.id,
        queue=context.task_result.task.queue_name,
        priority=context.task_result.task.priority,
    )


@spooler_task(takes_context=True)
def gated(context, gate):
    """Run until the test opens the gate."""
    record("started", gate=gate, attempt=context.attempt, id=context.task_result.id)
    wait_at(gate)
    record("ended", gate=gate, attempt=context.attempt, stopping=context.stopping)


@spooler_task
def ordered(label):
    record("ordered", label=label, version=VERSION)


@spooler_task(takes_context=True, max_attempts=3, backoff=0.05)
def fails_until(context, attempt):
    record("fails_until", attempt=context.attempt, id=context.task_result.id)
    if context.attempt < attempt:
        raise RuntimeError(f"attempt {context.attempt} fails as told")


@spooler_task(takes_context=True)
def asks_for_another_try(context, after):
    record("asks_for_another_try", attempt=context.attempt)
    if context.attempt == 1:
        raise Retry(after=after)


@spooler_task(max_attempts=2, backoff=0.05)
def kills_its_process(tag):
    record("kills_its_process", tag=tag)
    os.kill(os.getpid(), signal.SIGKILL)


@spooler_raw(takes_context=True, backoff=0.05)
def answers(context, codes):
    record("answers", attempt=context.attempt, id=context.task_result.id)
    return codes[context.attempt - 1]


@spooler_forever(pause=0.05, backoff=0.05)
def repeats(tag, times):
    record("repeats", tag=tag)
    if sum(event["tag"] == tag for event in recorded("repeats")) >= times:
        raise StopSpooling


@spooler_task
def look_around(tag):
    """Tell what of its surroundings the task finds, and leave them changed."""
    record(
        "look_around",
        tag=tag,
        visitor=visitor.get(),
        language=translation.get_language(),
        time_zone=timezone.get_current_timezone_name(),
    )
    visitor.set(tag)
    translation.activate("fr")
    timezone.activate("Asia/Tokyo")


@spooler_task
def look_at_database(tag):
    record("look_at_database", tag=tag, **look())


@spooler_task
def leave_transaction_open(number):
    transaction.atomic().__enter__()
    Order.objects.create(number=number)
    record("leave_transaction_open", number=number)


@spooler_task
def break_connection():
    """Leave a connection behind that is of no use any more."""
    connection.ensure_connection()
    connection.connection.close()
    record("break_connection")


@spooler_task(takes_context=True, max_attempts=1)
def fails_at_the_gate(context, gate):
    """Fail once the test opens the gate."""
    record("started", gate=gate, attempt=context.attempt, id=context.task_result.id)
    wait_at(gate)
    raise RuntimeError("failed as told")


_never_closed = []


@spooler_task(backoff=0.05)
def leaks_descriptors(tag, fails):
    """Open files until there is no descriptor left, and keep them."""
    record("leaks_descriptors", tag=tag)
    try:
        while True:
            _never_closed.append(open(os.devnull))
    except OSError:
        if fails:
            raise


@spooler_task(takes_context=True)
def reads_the_whole_spool(context, gate):
    """Open and close each file of the spool, as a backup does, then wait for the test."""
    for path in (settings.BASE_DIR / "spool").rglob("*"):
        if path.is_file():
            path.read_bytes()
    record("started", gate=gate, attempt=context.attempt, id=context.task_result.id)
    wait_at(gate)
    record("ended", gate=gate, attempt=context.attempt, stopping=context.stopping)
