"""Tasks of uwsgidecorators and of a third library go on beside ours, whichever is imported first."""

import json
import time

import pytest

from .server import wait_until
from .setups import BARE, Setup

_OURS, _THEIRS = ("--import", "django_spooler.worker"), ("--import", "shop.legacy")
_FOREIGN = ("--import", "shop.foreign")
HEADROOM = 5.0
"""Seconds that a busy machine may take for what takes one."""


def _with_imports(name: str, *imports: str) -> Setup:
    others = [argument for argument in BARE.arguments if argument not in _OURS]
    return Setup(name, (*others, *imports))


@pytest.fixture(
    scope="module",
    params=[
        _with_imports("theirs first", *_THEIRS, *_FOREIGN, *_OURS),
        _with_imports("theirs around", *_FOREIGN, *_OURS, *_THEIRS),
        _with_imports("ours first", *_OURS, *_THEIRS, *_FOREIGN),
    ],
    ids=lambda setup: setup.name,
)
def uwsgi_setup(request: pytest.FixtureRequest) -> Setup:
    return request.param


@pytest.mark.parametrize("function", ["legacy_spool", "legacy_raw"])
def test_their_task_runs_once(server, function):
    server.call("shop.legacy.send", function, value="ä€")
    (done,) = server.site.wait_for(function)
    assert done["value"] == "ä€"
    assert done["pid"] in server.spoolers


def test_third_library_gets_its_tasks_and_no_others(server, name):
    server.call("shop.foreign.send", name)
    (done,) = server.site.wait_for("foreign", value=name)
    assert done["pid"] in server.spoolers
    assert not server.site.events("foreign_dropped")


@pytest.mark.parametrize("function", ["legacy_spool", "foreign"])
def test_their_task_waits_for_its_time_and_no_longer(server, name, function):
    due = int(time.time()) + 2
    if function == "foreign":
        server.call("shop.foreign.send", name, at=due)
    else:
        server.call("shop.legacy.send", function, value=name, at=str(due))
    (done,) = server.site.wait_for(function, value=name)
    assert due <= done["at"] < due + HEADROOM


def test_their_pickled_arguments_arrive(server):
    server.call("shop.legacy.send", "legacy_arguments", 1, [2], key={"a": None})
    (done,) = server.site.wait_for("legacy_arguments")
    assert (done["args"], done["kwargs"]) == ([1, [2]], {"key": {"a": None}})


def test_their_forever_task_repeats_while_ours_run(server):
    server.call("shop.legacy.send", "legacy_forever", value="again")
    server.site.wait_for("legacy_forever", 2)
    server.call("mysite.calls.enqueue", "shop.tasks.echo", ["ours"], {})
    (done,) = server.site.wait_for("echo", args=["ours"])
    assert done["pid"] in server.runners
    count = len(server.site.events("legacy_forever"))
    server.site.wait_for("legacy_forever", count + 1)


def test_their_forever_task_does_not_spin_as_others_come_in(server, name):
    server.call("shop.foreign.send", "again")
    server.site.wait_for("foreign", value="again")
    before, began = len(server.site.events("foreign", value="again")), time.monotonic()
    for number in range(10):
        server.call("shop.legacy.send", "legacy_spool", value=f"{name} {number}")
        server.site.wait_for("legacy_spool", value=f"{name} {number}")
    times = len(server.site.events("foreign", value="again")) - before
    assert times <= 3 * 10 + 2 * (time.monotonic() - began)


def test_their_forever_task_does_not_spin_as_one_comes_in_that_uwsgi_never_reaches(server, name):
    server.call("shop.foreign.send", "again")
    before, began = len(server.site.wait_for("foreign", value="again")), time.monotonic()
    server.call("shop.foreign.send", name, priority=8)  # without spooler-ordered
    times = len(server.site.wait_for("foreign", before + 3, value="again")) - before
    assert times <= 3 + 2 * (time.monotonic() - began)


def test_their_task_runs_while_one_of_ours_keeps_the_runner_busy(server, name):
    gate = server.site.close_gate(name)
    server.call("mysite.calls.enqueue", "shop.tasks.gated", [gate], {})
    server.site.wait_for("started", gate=gate)
    server.call("shop.legacy.send", "legacy_spool", value=name)
    server.site.wait_for("legacy_spool", value=name)
    assert not server.site.events("ended", gate=gate)
    server.site.open_gate(gate)
    server.site.wait_for("ended", gate=gate)


def test_task_of_theirs_that_nobody_has_is_set_aside_unopened(server, name):
    server.call("shop.legacy.send_to_nobody", name)
    (told,) = server.site.wait_for("task_failed", id=None)
    assert "uwsgidecorators has no function 'removed_long_ago'" in told["reason"]
    assert not server.site.events("unpickled")


def test_their_priorities_are_kept_and_looked_at_soon(launch, name):
    setup = _with_imports("ordered", "--spooler-ordered", *_FOREIGN, *_OURS, *_THEIRS)
    server = launch.server(setup)
    for value in ("first", "second"):  # the second finds the directory watched
        server.call("shop.legacy.send", "legacy_spool", value=value, priority="7")
        (done,) = server.site.wait_for("legacy_spool", value=value)
        server.call("shop.foreign.send", value, priority=8)
        server.site.wait_for("foreign", value=value)
    assert done["pid"] in server.spoolers
    server.call("mysite.calls.enqueue", "shop.tasks.echo", [name], {})
    server.site.wait_for("echo", args=[name])


def test_timer_for_a_spooler_fires_beside_ours(launch, name):
    server = launch.server(_with_imports("timer", *_OURS, "--import", "shop.timers"))
    ticks = server.site.wait_for("tick", 4)
    assert {tick["pid"] for tick in ticks} <= set(server.spoolers)
    server.call("mysite.calls.enqueue", "shop.tasks.echo", [name], {})
    server.site.wait_for("echo", args=[name])
    server.site.wait_for("tick", len(server.site.events("tick")) + 2)


def test_files_that_are_nobodys_are_left_alone(launch):
    server = launch.server()
    others = {"README": b"words", ".gitkeep": b"", "app.pid": b"1", "x.tmp": b"\x11\xff\xff\x00"}
    for other, content in others.items():
        (server.spool / other).write_bytes(content)
    (server.spool / "lost+found").mkdir()
    for number in range(3):
        server.call("mysite.calls.enqueue", "shop.tasks.echo", [number], {})
        server.site.wait_for("echo", args=[number])
    server.stop()
    server.start()
    assert {other: (server.spool / other).read_bytes() for other in others} == others
    assert (server.spool / "lost+found").is_dir()
    assert not list((server.spool / "django" / "failed").iterdir())


def test_their_tasks_are_listed_while_they_wait_and_run(server, name):
    gate = server.site.close_gate(f"gate-{name}")
    server.call("shop.legacy.send", "legacy_gated", value=gate)
    server.site.wait_for("legacy_gated", value=gate)
    (running,) = listed(server, "legacy_gated")
    assert running["library"] == "uwsgidecorators"
    assert running["process"] in server.spoolers
    server.site.open_gate(gate)
    wait_until(lambda: not listed(server, "legacy_gated"), "it is done")
    assert len(server.site.events("legacy_gated", value=gate)) == 1


def listed(server, function):
    """Return what is told of the files for a function of another library."""
    arguments = ("--state", "other", "--task", function, "--json")
    return json.loads(server.site.manage("spooler", "list", *arguments))


@pytest.mark.parametrize(
    "place", ["tmp", "processes", "running", "ready/default", "scheduled/mail"]
)
def test_what_strays_into_our_tree_is_set_aside_and_told_of(server, name, place):
    stray = server.spool / "django" / place / name
    stray.parent.mkdir(parents=True, exist_ok=True)
    told = {"id": None, "reason": "it stood where no task belongs"}
    before = len(server.site.events("task_failed", **told))
    stray.write_text("words")
    server.site.wait_for("task_failed", before + 1, **told)
    (kept,) = (server.spool / "django" / "failed").glob(f"*/{name}")
    assert kept.read_text() == "words"
