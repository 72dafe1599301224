"""The slots of a schedule, through both changes of the clocks in three zones."""

from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise

import pytest
from cronsim import CronSim

from django_spooler.cron.schedule import Schedule, between, crontab, interval, latest
from django_spooler.exceptions import InvalidCronJob

UTC = timezone.utc
BERLIN = "Europe/Berlin"  # an hour forward on 29 March 2026 at 2:00, back on 25 October at 3:00
NEW_YORK = "America/New_York"  # forward on 8 March at 2:00, back on 1 November at 2:00
LORD_HOWE = "Australia/Lord_Howe"  # half an hour: back on 5 April at 2:00, forward on 4 October


def utc(text: str) -> datetime:
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


TABLE = [
    # Every day at a time that exists and comes once: nothing special.
    (BERLIN, "0 4 * * *", "03-28 12:00", ["03-29 02:00", "03-30 02:00"]),
    # Fixed times that do not exist: once, right after the gap.
    (BERLIN, "30 2 * * *", "03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
    (BERLIN, "0,30 2 * * *", "03-29 00:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
    (BERLIN, "30 2 29 3 *", "03-29 00:00", ["03-29 01:00"]),
    (NEW_YORK, "15 2 * * *", "03-08 00:00", ["03-08 07:00", "03-09 06:15"]),
    (LORD_HOWE, "10 2 * * *", "10-03 00:00", ["10-03 15:30", "10-04 15:10"]),
    # One that is named anyway right after the gap does not run twice.
    (BERLIN, "30 2,3 * * *", "03-29 00:00", ["03-29 01:00", "03-29 01:30", "03-30 00:30"]),
    (BERLIN, "0 2,3 * * *", "03-29 00:00", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
    # Fixed times that come twice: once, the first time.
    (BERLIN, "30 2 * * *", "10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
    (NEW_YORK, "30 1 * * *", "11-01 00:00", ["11-01 05:30", "11-02 06:30"]),
    (LORD_HOWE, "45 1 * * *", "04-03 15:00", ["04-04 14:45", "04-05 15:15"]),
    # Wildcards follow the clock on the wall: what does not exist is left out...
    (BERLIN, "0 * * * *", "03-28 23:30", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
    (NEW_YORK, "*/30 * * * *", "03-08 06:10", ["03-08 06:30", "03-08 07:00", "03-08 07:30"]),
    (BERLIN, "*/20 2 * * *", "03-28 23:00", ["03-30 00:00", "03-30 00:20", "03-30 00:40"]),
    # ...and what comes twice runs twice.
    (BERLIN, "0 * * * *", "10-24 23:30", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
    (NEW_YORK, "30 * * * *", "11-01 05:00", ["11-01 05:30", "11-01 06:30", "11-01 07:30"]),
    (
        BERLIN,
        "*/30 2 * * *",
        "10-24 12:00",
        ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30", "10-26 01:00", "10-26 01:30"],
    ),
    (
        LORD_HOWE,
        "*/15 * * * *",
        "04-04 14:20",
        ["04-04 14:30", "04-04 14:45", "04-04 15:00", "04-04 15:15", "04-04 15:30"],
    ),
    # A zone without changes, half a day ahead.
    ("Asia/Shanghai", "30 4 * * *", "03-28 00:00", ["03-28 20:30", "03-29 20:30"]),
]


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    TABLE,
    ids=[f"{zone} {expression} {after}" for zone, expression, after, _ in TABLE],
)
def test_slots_through_a_change_of_the_clocks(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    schedule = crontab(expression, zone)
    found = islice(schedule.after(utc(after)), len(expected))
    assert [f"{slot:%m-%d %H:%M}" for slot in found] == expected


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("expression", ["30 2 * * *", "45 1 * * *", "*/10 * * * *", "0 */2 * * *"])
def test_slots_are_the_same_wherever_one_begins_to_look(zone: str, expression: str) -> None:
    """Each node begins elsewhere, and the slot is what makes a run unique."""
    schedule = crontab(expression, zone)
    for begin in ("03-06 23:00", "03-28 20:00", "04-04 12:00", "10-03 12:00", "10-24 20:00"):
        slots = list(islice(schedule.after(utc(begin)), 50))
        for first, second in pairwise(slots):
            assert next(schedule.after(first)) == second
            assert next(schedule.after(second - timedelta(seconds=1))) == second
            assert latest(schedule, second) == second
            assert latest(schedule, second - timedelta(seconds=1)) == first


def test_fixed_time_runs_once_on_each_day_of_the_year() -> None:
    for zone in (BERLIN, NEW_YORK, LORD_HOWE):
        schedule = crontab("10 2 * * *", zone)
        slots = between(schedule, utc("01-01 12:00"), utc("12-31 12:00"), 1000)
        assert len(slots) == 364
        assert all(timedelta(hours=22) < b - a < timedelta(hours=26) for a, b in pairwise(slots))


def test_expression_without_changes_is_what_cronsim_says() -> None:
    schedule = crontab("*/7 8-18 * * MON-FRI", "UTC")
    begin = utc("05-01 00:00")
    expected = list(islice(CronSim("*/7 8-18 * * MON-FRI", begin), 200))
    assert list(islice(schedule.after(begin), 200)) == expected


@pytest.mark.parametrize("seconds", [1, 30, 90, 86400, 1.5])
def test_slots_of_an_interval_are_its_multiples_since_the_epoch(seconds: float) -> None:
    schedule = interval(timedelta(seconds=seconds))
    slots = list(islice(schedule.after(utc("03-29 00:00")), 5))
    assert slots[0] > utc("03-29 00:00") and slots[0] - utc("03-29 00:00") <= schedule.every
    assert all(slot.timestamp() % seconds == 0 for slot in slots)
    assert all(b - a == schedule.every for a, b in pairwise(slots))


def test_last_slots_of_a_long_time_are_found_without_the_others() -> None:
    schedule = crontab("* * * * *", "UTC")
    found = between(schedule, datetime(1990, 1, 1, tzinfo=UTC), utc("03-29 00:00"), 3)
    assert found[-3:] == [utc("03-28 23:58"), utc("03-28 23:59"), utc("03-29 00:00")]
    assert len(found) < 100


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (interval(timedelta(minutes=5)), "every 5 minutes"),
        (interval(timedelta(hours=1)), "every hour"),
        (interval(timedelta(seconds=90)), "every 90 seconds"),
        (crontab("30 4 * * MON", BERLIN), "At 04:30 on Monday (Europe/Berlin)"),
    ],
)
def test_schedule_in_plain_words(schedule: Schedule, words: str) -> None:
    assert schedule.in_words() == words


@pytest.mark.parametrize(
    ("expression", "zone", "finding"),
    [
        ("* * *", "UTC", "is no crontab expression"),
        ("61 * * * *", "UTC", "is no crontab expression"),
        ("0 0 30 2 *", "UTC", "never comes true"),
        ("0 0 * * *", "Europe/Atlantis", "time zone 'Europe/Atlantis' is not known"),
    ],
)
def test_wrong_expression_is_refused(expression: str, zone: str, finding: str) -> None:
    with pytest.raises(InvalidCronJob, match=finding):
        crontab(expression, zone)


def test_interval_of_less_than_a_second_is_refused() -> None:
    with pytest.raises(InvalidCronJob, match="a second or more"):
        interval(timedelta(milliseconds=10))
