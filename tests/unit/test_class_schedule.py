"""When a class of django-cron is due."""

from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django_cron import Schedule

from django_spooler.cron.class_schedule import ClassSchedule, Last

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 1, 5, 12, 0, tzinfo=timezone.utc)
"""A Monday."""


def schedule(**options: Any) -> ClassSchedule:
    return ClassSchedule(Schedule(**options), BERLIN)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def due_after(found: ClassSchedule, minutes_after: float, *, failed: bool = False) -> bool:
    """Tell whether a job is due so long after the start of its last run."""
    last, moment = Last(START, failed=failed), START + minutes(minutes_after)
    return not found.is_resting(moment, last) and found.by_interval(moment, last) is not None


@pytest.mark.parametrize(
    ("options", "failed", "first"),
    [
        ({"run_every_mins": 5}, False, 5),
        ({"run_every_mins": 0.25}, False, 0.25),
        ({"run_every_mins": 5, "run_tolerance_seconds": 30}, False, 4.5),
        ({"run_every_mins": 5}, True, 1),
        ({"run_every_mins": 0.25}, True, 0.25),
        ({"run_every_mins": 5, "retry_after_failure_mins": 10}, True, 10),
        ({"run_every_mins": 5, "retry_after_failure_mins": 0}, True, 1),
        ({"run_every_mins": 5, "run_tolerance_seconds": 30}, True, 0.5),
        ({"run_every_mins": 0}, False, 0),
    ],
)
def test_run_is_due_again_after_its_pause_and_not_before(
    options: dict[str, Any], failed: bool, first: float
) -> None:
    assert not due_after(schedule(**options), first, failed=failed)
    assert due_after(schedule(**options), first + 0.001, failed=failed)


def test_slot_is_the_time_at_which_it_came_due_and_the_first_is_now() -> None:
    found = schedule(run_every_mins=5)
    late = START + minutes(7)
    assert found.by_interval(late, None) == late
    assert found.by_interval(late, Last(START, failed=False)) == START + minutes(5)
    assert found.by_interval(late, Last(START, failed=True)) == START + minutes(1)


def test_no_two_runs_have_one_slot_where_there_is_no_pause() -> None:
    found = schedule(run_every_mins=0)
    assert found.by_interval(START + minutes(1), Last(START, failed=False)) == START + minutes(1)


def test_times_of_the_day_come_by_the_clock_on_the_wall() -> None:
    found = schedule(run_at_times=["13:00", "9:30", "20:00"])
    noon = START  # 13:00 in Berlin
    assert [slot.hour for slot in found.times_come(noon)] == [8, 12]
    assert [slot.hour for slot in found.times_come(noon - minutes(0.01))] == [8]
    assert found.text_of(noon) == "13:00"
    assert found.text_of(noon - minutes(210)) == "9:30"
    assert found.text_of(noon + minutes(1)) is None


def test_time_that_does_not_exist_comes_right_after_the_gap() -> None:
    found = schedule(run_at_times=["2:30"])
    gap = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)  # from 2:00 to 3:00
    assert found.times_come(gap - minutes(1)) == {}
    assert list(found.times_come(gap)) == list(found.times_come(gap + minutes(45))) == [gap]
    assert next(found.upcoming(gap - minutes(60), None)) == gap
    assert found.text_of(gap) == "2:30"


def test_time_that_comes_twice_is_one_slot() -> None:
    found = schedule(run_at_times=["2:30"])
    first = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)
    assert list(found.times_come(first)) == list(found.times_come(first + minutes(60))) == [first]


def test_days_are_those_of_the_zone() -> None:
    midnight = datetime(2026, 1, 4, 23, 0, tzinfo=timezone.utc)  # Monday, the 5th, in Berlin
    for options in ({"run_weekly_on_days": [0]}, {"run_monthly_on_days": [5]}):
        found = schedule(run_every_mins=5, **options)
        assert not found.is_day(midnight - minutes(1))
        assert found.is_day(midnight)
        assert found.is_day(midnight + minutes(24 * 60 - 1))
        assert not found.is_day(midnight + minutes(24 * 60))


def test_times_to_come_are_those_of_interval_and_clock() -> None:
    found = schedule(run_every_mins=60, run_at_times=["13:30"])
    times = islice(found.upcoming(START, Last(START - minutes(30), failed=False)), 4)
    assert [(at - START) / minutes(1) for at in times] == [30, 90, 150, 210]
    overdue = next(found.upcoming(START, Last(START - minutes(90), failed=False)))
    assert overdue == START


def test_times_to_come_leave_out_other_days_and_may_be_none() -> None:
    found = schedule(run_at_times=["13:00"], run_weekly_on_days=[2], run_monthly_on_days=[29])
    first = next(found.upcoming(START, None))
    assert (first.astimezone(BERLIN).weekday(), first.astimezone(BERLIN).day) == (2, 29)
    never = schedule(run_at_times=["13:00"], run_every_mins=5, run_monthly_on_days=[32])
    assert next(never.upcoming(START, None), None) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run_every_mins": 5}, "every 5 minutes"),
        ({"run_every_mins": 0}, "at every look"),
        ({"run_every_mins": 0.1}, "every 6 seconds"),
        ({"run_at_times": ["6:00"]}, "at 6:00"),
        (
            {"run_at_times": ["6:00", "7:00", "8:00"], "run_weekly_on_days": [0, 4]},
            "at 6:00, 7:00 and 8:00, on Monday and Friday",
        ),
        (
            {"run_every_mins": 60, "run_monthly_on_days": [1, 15]},
            "every hour, on day 1 and 15 of the month",
        ),
        ({}, "never"),
    ],
)
def test_schedule_in_words(options: dict[str, Any], words: str) -> None:
    assert schedule(**options).in_words() == words
