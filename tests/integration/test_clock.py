"""A clock that is set an hour forward or back loses nothing and repeats nothing.

The servers' time of day is what ``preload/clock.c`` makes of it; the test sets it while they run.
"""

import time

import pytest

from .preload import build
from .server import wait_until
from .setups import BARE, SHIPPED

HOUR = 3600
ENQUEUE = "mysite.calls.enqueue"
GATE = "gate"


class Clock:
    """The time of day of a server."""

    def __init__(self, site, library):
        self._path = site.directory / "clock"
        self.set(0)
        site.environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._path)}

    def set(self, seconds):
        """Set it so many seconds before or behind the true one."""
        beside = self._path.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.rename(self._path)


@pytest.fixture(params=[BARE, SHIPPED], ids=lambda setup: setup.name)
def setup(request):
    return request.param


@pytest.fixture
def site(launch, setup):
    return launch.site(**setup.settings)


@pytest.fixture
def clock(site, tmp_path):
    return Clock(site, build("clock", tmp_path))


@pytest.fixture
def server(launch, setup, site, clock):
    return launch.server(setup, site=site)


def enqueue(server, label, **using):
    server.call(ENQUEUE, "shop.tasks.ordered", [label], {}, using)


def labels(server):
    """Return the labels of the tasks that have run, in the order they did."""
    return [event["label"] for event in server.site.events("ordered")]


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_what_waits_runs_once_and_schedules_follow_the_wall_clock(server, clock, jump):
    server.site.close_gate(GATE)
    for _ in range(server.setup.spoolers):
        server.call(ENQUEUE, "shop.tasks.gated", [GATE], {})
    started = server.site.wait_for("started", server.setup.spoolers)
    enqueue(server, "before")
    enqueue(server, "in half an hour", run_after=HOUR / 2)
    enqueue(server, "in two hours", run_after=2 * HOUR)

    clock.set(jump)
    enqueue(server, "after")
    enqueue(server, "a second later", run_after=1)
    server.site.open_gate(GATE)
    expected = {"before", "after", "a second later"}
    if jump > 0:
        expected.add("in half an hour")
    wait_until(lambda: set(labels(server)) >= expected, f"{expected} have run")

    clock.set(0)
    enqueue(server, "back again")
    server.site.wait_for("ordered", label="back again")
    assert sorted(labels(server)) == sorted(expected | {"back again"})
    assert server.site.events("started") == started
    assert server.site.events("task_failed") == []
    wait_until(lambda: not list(server.spool.glob("django/ready/*/*/*")), "nothing else is ready")
    assert len(list(server.spool.glob("django/scheduled/*/*/*/*"))) == (1 if jump > 0 else 2)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_killed_runner_is_replaced_after_the_jump(server, clock, jump):
    """uWSGI's loop passes over files of the future, and so did over the bell that calls us.

    After a jump back nobody looked after the runners for that hour.
    """
    server.site.close_gate(GATE)
    server.call(ENQUEUE, "shop.tasks.gated", [GATE], {})
    (started,) = server.site.wait_for("started")
    clock.set(jump)
    # The pass that was under way still looks after the runner, for a second at most.
    seconds = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > seconds, "another pass has begun")
    server.kill(started["pid"])
    again = server.site.wait_for("started", 2, within=15)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)
    server.site.open_gate(GATE)
    server.site.wait_for("ended")


def test_task_for_later_starts_at_its_time_on_the_new_clock(server, clock):
    enqueue(server, "soon", run_after=HOUR + 2)
    clock.set(HOUR)
    began = time.monotonic()
    server.site.wait_for("ordered", label="soon")
    assert 0.5 < time.monotonic() - began < 10
