"""Tasks of uwsgidecorators go on beside ours, whichever is imported first."""

import pytest

from .setups import BARE, Setup

_OURS, _THEIRS = ("--import", "django_spooler.worker"), ("--import", "shop.legacy")


def _with_imports(name: str, *imports: str) -> Setup:
    others = [argument for argument in BARE.arguments if argument not in _OURS]
    return Setup(name, (*others, *imports))


@pytest.fixture(
    scope="module",
    params=[
        _with_imports("theirs first", *_THEIRS, *_OURS),
        _with_imports("ours first", *_OURS, *_THEIRS),
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
