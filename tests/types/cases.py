"""What a type checker says of tasks: an error on each line marked ``# E``, and on no other.

Nothing here is run.
"""

from datetime import datetime, timedelta
from typing import Any

from typing_extensions import assert_type

from django_spooler import (
    SPOOL_OK,
    Retry,
    StopSpooling,
    spooler_forever,
    spooler_raw,
    spooler_task,
)
from django_spooler.cron import CronContext, cron_job

# A function is enqueued with its own arguments, and its result has its own type.


@spooler_task
def send_welcome(user_id: int, *, note: str = "") -> bool:
    return bool(user_id and note)


send_welcome.enqueue(1)
send_welcome.enqueue(1, note="again")
send_welcome.enqueue("x")  # E
send_welcome.enqueue()  # E
send_welcome.enqueue(1, "again")  # E
send_welcome.enqueue(1, notes="again")  # E
send_welcome.delay(1)
send_welcome.delay("x")  # E
send_welcome.using(priority=5, queue_name="mail").enqueue(1)
send_welcome.using(priority=5).enqueue("x")  # E
send_welcome.using(priority="high")  # E
send_welcome("x")  # E
send_welcome.call("x")  # E

assert_type(send_welcome(1), bool)
assert_type(send_welcome.call(1), bool)
assert_type(send_welcome.enqueue(1).return_value, bool | None)
assert_type(send_welcome.delay(1).return_value, bool | None)
assert_type(send_welcome.using(priority=5).enqueue(1).return_value, bool | None)
assert_type(send_welcome.get_result("id").return_value, bool | None)


async def in_an_async_view() -> None:
    result = await send_welcome.aenqueue(1)
    assert_type(result.return_value, bool | None)
    await send_welcome.aenqueue("x")  # E


# The result of a coroutine function is what it returns in the end.


@spooler_task
async def fetch(url: str) -> bytes:
    return url.encode()


@spooler_task(timeout=5)
async def fetch_in_time(url: str) -> bytes:
    return url.encode()


fetch.enqueue(1)  # E
fetch_in_time.enqueue(1)  # E
assert_type(fetch.enqueue("/").return_value, bytes | None)
assert_type(fetch_in_time.using(priority=1).enqueue("/").return_value, bytes | None)
assert_type(fetch.call("/"), bytes)
fetch("/")  # E


async def in_another_async_view() -> None:
    assert_type(await fetch("/"), bytes)


# Options are checked by name and type.


@spooler_task(max_attempts=5, backoff=timedelta(minutes=1), timeout=None, retry_on=(OSError,))
def with_options(user_id: int) -> int:
    raise Retry(after=5)


with_options.enqueue("x")  # E
assert_type(with_options.enqueue(1).return_value, int | None)

spooler_task(max_attempts="5")  # E
spooler_task(max_atempts=5)  # E
spooler_task(retry_on=OSError)  # E
spooler_task(pause=5)  # E
spooler_raw(max_atempts=5)  # E
spooler_forever(max_atempts=5)  # E
spooler_forever(pause="5")  # E


# The context is not given when a task is enqueued.


@spooler_task(takes_context=True)
def with_context(context: Any, user_id: int) -> int:
    return user_id


@spooler_task(takes_context=True)
async def async_with_context(context: Any, user_id: int) -> int:
    return user_id


with_context.enqueue(1)
with_context.enqueue(None, 1)  # E
with_context.enqueue("x")  # E
async_with_context.enqueue(None, 1)  # E
assert_type(with_context.enqueue(1).return_value, int | None)
assert_type(async_with_context.enqueue(1).return_value, int | None)


def without_context() -> int:
    return 1


spooler_task(takes_context=True)(without_context)  # E


# A raw task returns an int, however it is made.


def answers(name: str) -> int:
    return SPOOL_OK if name else 7


def answers_with_context(context: Any, name: str) -> int:
    return SPOOL_OK


async def answers_later(name: str) -> int:
    return SPOOL_OK


def answers_nothing(name: str) -> None:
    pass


async def answers_nothing_later(name: str) -> None:
    pass


assert_type(spooler_raw(answers).enqueue("x").return_value, int | None)
assert_type(spooler_raw(max_attempts=1)(answers).enqueue("x").return_value, int | None)
assert_type(spooler_raw(answers_later).enqueue("x").return_value, int | None)
spooler_raw(takes_context=True)(answers_with_context).enqueue("x")
spooler_raw(takes_context=True)(answers_with_context).enqueue(None, "x")  # E
spooler_raw(answers).enqueue(1)  # E
spooler_raw(answers_nothing)  # E
spooler_raw(answers_nothing_later)  # E
spooler_raw(max_attempts=1)(answers_nothing)  # E


# A task that repeats itself has its arguments too.


@spooler_forever(pause=timedelta(minutes=1), max_attempts=None)
def look_after(shop_id: int) -> None:
    raise StopSpooling


@spooler_forever(takes_context=True)
def look_after_with_context(context: Any, shop_id: int) -> None:
    raise StopSpooling


look_after.enqueue(1)
look_after.enqueue("x")  # E
look_after_with_context.enqueue(1)
look_after_with_context.enqueue(None, 1)  # E


# A periodic job stays the function that it was.


@cron_job("*/5 * * * *", timezone="Asia/Shanghai", overlap="queue", lease=60)
def refresh_prices(context: CronContext) -> int:
    assert_type(context.slot, datetime)
    assert_type(context.lost, bool)
    return 1


assert_type(refresh_prices.__name__, str)
refresh_prices("x")  # E


@cron_job(every=timedelta(seconds=30), timeout=timedelta(minutes=5))
def tidy() -> None: ...


cron_job(every=300)  # E
cron_job(300)  # E
cron_job("* * * * *", overlap="never")  # E
cron_job("* * * * *", catch_up="some")  # E
cron_job("* * * * *", max_attempts="3")  # E
