"""Whatever JSON holds arrives as it left, under any name and of any size."""

import hashlib

import pytest

AWKWARD = {
    name: f"value of {name}"
    for name in (
        "self",
        "task",
        "func",
        "args",
        "kwargs",
        "body",
        "at",
        "priority",
        "spooler",
        "message",
        "name",
        "context",
    )
}


@pytest.fixture(scope="module")
def call(server, launch_for_module):
    """Call a function of the site in a web worker, or in a process that writes the file itself."""
    spool = str(server.spool)
    outside = launch_for_module.site(
        OPTIONS={"OUTSIDE_UWSGI": "spool", "SPOOLERS": {"default": spool, "mail": spool}}
    )
    return {"uwsgi": server.call, "file": launch_for_module.producer(outside).call}


@pytest.mark.parametrize("way", ["uwsgi", "file"])
@pytest.mark.parametrize(
    "size", [0, 1, 65_000, 65_535, 65_536, 70_000, 1_000_000, 50_000_000], ids="{:,} bytes".format
)
def test_text_of_any_size_arrives_whole(server, call, way, size):
    known = len(server.site.events("measure", size=size))
    digest = call[way]("shop.producers.measure", size)
    done = server.site.wait_for("measure", known + 1, size=size)[-1]
    assert done["digest"] == digest == hashlib.sha256(b"x" * size).hexdigest()


VALUES = [
    "äöü \u2603 \U0001f4a3 \u0000 \n \x7f \u2028",
    "\ud800 alone",
    {"": {"\ud83d": [[[{}]]]}, "a.b": None},
    [2**4096, -(2**4096), 0.1, 5e-324, True, None],
    ["x" * 70_000] * 3,
]


@pytest.mark.parametrize("way", ["uwsgi", "file"])
def test_any_json_value_arrives_as_it_left(server, call, way):
    for value in VALUES:
        known = len(server.site.events("echo"))
        call[way]("mysite.calls.enqueue", "shop.tasks.echo", [value], {"value": value})
        done = server.site.wait_for("echo", known + 1)[-1]
        assert (done["args"], done["kwargs"]) == ([value], {"value": value})


@pytest.mark.parametrize("how", ["enqueue", "delay", "aenqueue"])
def test_arguments_have_any_name(server, how):
    server.call("mysite.calls.enqueue", "shop.tasks.awkward_names", [], AWKWARD, how=how)
    done = server.site.wait_for("awkward_names")
    assert done[-1]["values"] == AWKWARD


def test_plain_call_takes_any_name(server):
    server.call("shop.producers.call_plainly", "shop.tasks.awkward_names", AWKWARD)
    server.site.wait_for("awkward_names", pid=server.web_workers[0], values=AWKWARD)


@pytest.mark.parametrize(
    "name", ["body", "at", "priority", "spooler", "django_spooler", "ud_spool_func", "args"]
)
def test_keyword_is_no_option_of_the_spooler(server, name):
    server.call("mysite.calls.enqueue", "shop.tasks.echo", [], {name: "1"})
    (done,) = server.site.wait_for("echo", kwargs={name: "1"})
    assert done["args"] == []
