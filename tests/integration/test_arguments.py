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


@pytest.mark.parametrize(
    "size", [0, 1, 65_000, 65_535, 65_536, 70_000, 1_000_000, 50_000_000], ids="{:,} bytes".format
)
def test_text_of_any_size_arrives_whole(server, size):
    digest = server.call("shop.producers.measure", size)
    (done,) = server.site.wait_for("measure", size=size)
    assert done["digest"] == digest == hashlib.sha256(b"x" * size).hexdigest()


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
