"""How many files a queue has in a state, and since when, whatever their names are."""

from pathlib import Path

import pytest

from django_spooler.spool.directory import Spool
from django_spooler.spool.listing import Tally, oldest_ready, overdue, tally

NAME = "uwsgi_spoolfile_on_web1_4711_1_1804289383_{}_7"
NOW = 1_764_000_000


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path)


def put(spool, *parts):
    path = Path(spool.path(*parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["foreign", "a_b_c", "_", "uwsgi_spoolfile_on_x_0_0_0_0_0"],
        ["uwsgi_spoolfile_on_x_0_0_0_5_0", "x_5_1"],
        ["x_0000000005_1", "x_99999999999_1"],
        [NAME.format(NOW + 3) + f";a=1;r={(NOW + 9) * 1_000_000}"],
        [NAME.format(NOW + 3) + ";r=5"],
    ],
)
def test_oldest_is_the_first_that_tells_a_time(spool, others):
    for name in (NAME.format(NOW + 5), NAME.format(NOW), *others):
        put(spool, "ready", "default", "100", name)
    put(spool, "ready", "default", "0", NAME.format(NOW + 1))
    put(spool, "ready", "mail", "100", "foreign")
    assert int(oldest_ready(spool) or 0) == NOW
    assert tally(spool, "ready") == {
        "default": Tally(3 + len(others), NOW),
        "mail": Tally(1, None),
    }


def test_each_state_is_counted(spool):
    minute = NOW // 60
    put(spool, "scheduled", "default", "100", str(minute), NAME.format(NOW - 999))
    put(spool, "running", "process", f"100:mail:{NAME.format(NOW)}")
    assert tally(spool, "scheduled") == {"default": Tally(1, minute * 60)}
    assert tally(spool, "running") == {"mail": Tally(1, NOW)}


def test_overdue_is_what_stands_in_a_minute_that_is_over(spool):
    for queue, minutes in (("default", 10), ("default", 12), ("mail", 99)):
        put(spool, "scheduled", queue, "100", str(minutes), "file")
    Path(spool.path("scheduled", "empty", "100", "9")).mkdir(parents=True)
    assert overdue(spool, 13 * 60 + 1) == {"default": 11 * 60}
    assert overdue(spool, 11 * 60) == {}
