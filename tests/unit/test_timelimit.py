"""The bound on the time of a task, in the thread that it runs in."""

import threading

import pytest

from django_spooler.exceptions import TaskTimeout
from django_spooler.timelimit import time_limit


def test_what_ends_the_block_is_given_the_time_it_needs():
    """The timeout is raised once, however long a ``finally`` takes."""
    tidied = threading.Event()
    with pytest.raises(TaskTimeout), time_limit(0.05, "slow"):
        try:
            threading.Event().wait(30)
        finally:
            threading.Event().wait(1.2)
            tidied.set()
    assert tidied.is_set()


def test_timeout_that_was_not_reached_is_not_raised_later():
    with time_limit(0.2, "quick"):
        pass
    assert not threading.Event().wait(0.5)
