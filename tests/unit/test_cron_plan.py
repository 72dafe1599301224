"""What becomes of slots that have come due, by overlap and catch_up; slots are minutes of an hour."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from django_spooler.cron.decision import due_until, next_start
from django_spooler.cron.jobs import find_job
from django_spooler.cron.plan import Known, Rules, fates

from . import crons_for_tests  # noqa: F401  its jobs are known by it


def at(minute: float) -> datetime:
    return datetime(2026, 11, 25, 12, tzinfo=timezone.utc) + timedelta(minutes=minute)


FREE = Known(now=at(5.1))
BUSY = Known(now=at(5.1), busy_since=at(3.1), is_busy=True)
WAS_BUSY = Known(now=at(5.1), busy_since=at(2.1), busy_until=at(4.5))
QUEUED = replace(FREE, has_queue=True)


@pytest.mark.parametrize(
    ("known", "overlap", "catch_up", "slots", "expected"),
    [
        (FREE, "skip", "latest", [5], "run"),
        (FREE, "skip", "none", [5], "run"),
        (FREE, "skip", "latest", [3, 4, 5], "miss miss run"),
        (FREE, "skip", "none", [3, 4, 5], "miss miss run"),
        (FREE, "skip", "none", [3, 4], "miss miss"),
        # One slot that is late is no down time.
        (FREE, "skip", "none", [3], "run"),
        (FREE, "skip", "all", [3, 4, 5], "run queue queue"),
        (FREE, "queue", "all", [3, 4, 5], "run queue queue"),
        (FREE, "allow", "all", [3, 4, 5], "run run run"),
        (FREE, "allow", "latest", [4, 5], "miss run"),
        # Too old to be caught up with: more than two minutes.
        (FREE, "skip", "all", [1, 3, 4, 5], "miss run queue queue"),
        # The job runs.
        (BUSY, "skip", "latest", [5], "skip"),
        (BUSY, "skip", "all", [4, 5], "skip skip"),
        (BUSY, "queue", "latest", [5], "queue"),
        (BUSY, "allow", "latest", [5], "run"),
        # It came due before the run that goes on, which somebody asked for, had started.
        (BUSY, "skip", "latest", [3], "queue"),
        # It ran, and nobody looked meanwhile.
        (WAS_BUSY, "skip", "latest", [3, 4, 5], "skip skip run"),
        (WAS_BUSY, "queue", "latest", [3, 4, 5], "run queue queue"),
        (WAS_BUSY, "allow", "latest", [3, 4, 5], "miss miss run"),
        (QUEUED, "queue", "latest", [5], "queue"),
    ],
)
def test_fate_of_slots(
    known: Known, overlap: str, catch_up: str, slots: list[int], expected: str
) -> None:
    rules = Rules(overlap, catch_up, max_age=timedelta(minutes=2.5))
    decided = fates([at(minute) for minute in slots], known, rules)
    assert [fate.value for fate in decided] == expected.split()


def test_chance_delays_a_start_by_the_same_on_all_nodes_and_no_longer_than_asked_for() -> None:
    job = find_job("hourly")
    assert job is not None
    delayed = replace(job, jitter=600)
    slots = [at(60 * hour) for hour in range(50)]
    delays = [delayed.delay(slot) for slot in slots]
    assert delays == [replace(job, jitter=600).delay(slot) for slot in slots]
    assert all(timedelta() <= delay < timedelta(minutes=10) for delay in delays)
    assert len(set(delays)) > 40
    start = next_start(delayed, at(1))
    assert start == at(60) + delays[1]
    assert due_until(delayed, start - timedelta(seconds=1), at(1)) == []
    assert due_until(delayed, start, at(1)) == [at(60)]
