"""Two nodes decide at a time, and one of them says nothing any more."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import pytest
from django.db import Error, connection, connections, transaction

from django_spooler.cron import claims
from django_spooler.cron.lease import Lease
from django_spooler.cron.transactions import brief_transaction

from .cron_tools import expire, job_seen

T = TypeVar("T")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("forget"),
    pytest.mark.applies_if(connection.vendor != "sqlite"),  # whose lock is the process's own
]

_LIMITS = {
    "postgresql": "SELECT current_setting('idle_in_transaction_session_timeout'),"
    " current_setting('lock_timeout')",
    "mysql": "SELECT @@innodb_lock_wait_timeout, @@wait_timeout",
}


def on_another_node(pool: ThreadPoolExecutor, work: Callable[[], T]) -> "Future[T]":
    def closing() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return pool.submit(closing)


def limits() -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS[connection.vendor])
        found: tuple[object, ...] = cursor.fetchone()
    return found


def test_node_that_is_frozen_while_it_decides_holds_up_the_others_for_seconds_only() -> None:
    job = job_seen("hourly", 1)
    has_locked, wakes_up = threading.Event(), threading.Event()

    def freeze() -> None:
        with brief_transaction():
            claims.lock([job])
            has_locked.set()
            wakes_up.wait(30)
            claims.lock([job])

    def wake_up() -> list[object]:
        with pytest.raises(Error):
            freeze()
        return [*claims.claim([job], begin=True).claimed]

    with ThreadPoolExecutor() as pool:
        frozen = on_another_node(pool, wake_up)
        assert has_locked.wait(10)
        try:
            assert len(claims.claim([job], begin=True).claimed) == 1
            assert not frozen.done()
        finally:
            wakes_up.set()
        assert frozen.result(30) == []


def test_run_that_begins_late_is_not_given_to_another_node_too() -> None:
    job = job_seen("hourly", 1)
    (run,) = claims.claim([job]).claimed
    expire("hourly")
    with ThreadPoolExecutor() as pool:
        with transaction.atomic():
            Lease(run, 60).begin()
            other = on_another_node(pool, lambda: claims.claim([job]).claimed)
            assert wait([other], timeout=0.5).not_done
        assert other.result(30) == []


@pytest.mark.parametrize("fails", [False, True])
def test_session_is_left_as_the_site_has_it(fails: bool) -> None:
    before = limits()
    try:
        with brief_transaction():
            assert limits() != before
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert limits() == before
