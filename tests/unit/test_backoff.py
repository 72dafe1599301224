"""The pause between two tries of a task."""

import pytest

from django_spooler.perform import backoff
from django_spooler.tasks import Policy


def pauses(attempt, **given):
    """Return many pauses after this attempt, each by chance."""
    policy = Policy(
        **{
            "max_attempts": None,
            "backoff": 2,
            "backoff_max": 60,
            "timeout": None,
            "retry_on": (Exception,),
            "discard_on": (),
            **given,
        }
    )
    return [backoff(policy, attempt) for _ in range(1000)]


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 16)])
def test_pause_doubles_and_chance_adds_up_to_a_quarter(attempt, seconds):
    found = pauses(attempt)
    assert seconds <= min(found) < max(found) <= seconds * 1.25


@pytest.mark.parametrize("attempt", [6, 100, 10**9])
def test_tasks_that_failed_together_spread_at_the_longest_pause_too(attempt):
    found = pauses(attempt)
    assert 48 <= min(found) < 52 < 56 < max(found) <= 60


def test_pause_without_room_for_chance_is_the_one_that_was_asked_for():
    assert set(pauses(1, backoff_max=2)) == set(pauses(9, backoff_max=2)) == {2}
    assert set(pauses(1, backoff=9, backoff_max=2)) == {2}
    assert set(pauses(5, backoff=0)) == {0}
