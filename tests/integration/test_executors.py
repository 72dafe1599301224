"""One contract for every way out of ``enqueue``: inline, uWSGI, a spool file, a remote socket."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Launcher
from .server import CallError, Server, Site
from .setups import WITH_SOCKET


@dataclass
class Way:
    """One way: how a process is asked to enqueue, and the site that shows what became of it."""

    name: str
    call: Callable[..., Any]
    origin: Site
    """The site that enqueues."""

    site: Site
    """The site that runs the tasks."""

    pids: Callable[[], list[int]]
    """The processes its tasks run in."""

    def enqueue(self, task: str, *args: Any, using: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Enqueue a call of a task."""
        return self.call("mysite.calls.enqueue", task, args, kwargs, using)


@pytest.fixture(scope="module")
def server(launch_for_module: Launcher) -> Server:
    return launch_for_module.server(WITH_SOCKET)


@pytest.fixture(scope="module")
def ways(launch_for_module: Launcher, server: Server) -> dict[str, Way]:
    def way(name: str, **options: Any) -> Way:
        site = launch_for_module.site(OPTIONS=options)
        producer = launch_for_module.producer(site)
        if name == "inline":
            return Way(name, producer.call, site, site, lambda: [producer.pid])
        return Way(name, producer.call, site, server.site, lambda: server.runners)

    directory, address = str(server.site.spool), f"uwsgi://{server.socket_address}"
    return {
        "inline": way("inline"),
        "uwsgi": Way("uwsgi", server.call, server.site, server.site, lambda: server.runners),
        "file": way(
            "file", OUTSIDE_UWSGI="spool", SPOOLERS={"default": directory, "mail": directory}
        ),
        "remote": way(
            "remote", OUTSIDE_UWSGI="spool", SPOOLERS={"default": address, "mail": address}
        ),
    }


QUEUED = ["uwsgi", "file", "remote"]


@pytest.fixture(params=["inline", *QUEUED])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]


def test_task_runs_where_it_belongs_with_its_arguments(way, name):
    value = [name, {"ä€😀": [None, -1.5, 2**70, True, ""]}, "x" * 20_000]
    way.enqueue("shop.tasks.echo", *value, body=value, at=1)
    (done,) = way.site.wait_for("echo", args=value)
    assert done["kwargs"] == {"body": value, "at": 1}
    assert done["pid"] in way.pids()


def test_result_has_the_id_the_task_sees(way, name):
    using = {"queue_name": "mail", "priority": 3}
    answer = way.enqueue("shop.tasks.with_context", name, using=using)
    (done,) = way.site.wait_for("with_context", value=name)
    assert (done["id"], done["attempt"]) == (answer["id"], 1)
    assert (done["queue"], done["priority"]) == ("mail", 3)


def test_status_tells_whether_the_task_has_run(way, name):
    answer = way.enqueue("shop.tasks.on_the_loop", name)
    assert answer["status"] == ("SUCCESSFUL" if way.name == "inline" else "READY")
    way.site.wait_for("on_the_loop", value=name)


def test_signals_are_sent_once(way):
    answer = way.enqueue("shop.tasks.fails_until", 2)
    way.site.wait_for("task_finished", id=answer["id"])
    told = [event["event"] for event in way.site.events(id=answer["id"])]
    assert told.count("task_started") == told.count("task_finished") == 1
    assert told.count("task_retried") == 1
    assert not told.count("task_failed")


def test_failing_task_ends_in_failed_after_its_attempts_and_not_in_the_caller(way):
    answer = way.enqueue("shop.tasks.fails_until", 9)
    (told,) = way.site.wait_for("task_failed", id=answer["id"])
    assert told["reason"] == "RuntimeError: attempt 3 fails as told (attempt 3 of 3)"
    attempts = [event["attempt"] for event in way.site.events("fails_until", id=answer["id"])]
    assert attempts == [1, 2, 3]


def test_retry_is_another_attempt(way, name):
    answer = way.enqueue("shop.tasks.answers", [-1, -2])
    way.site.wait_for("task_finished", id=answer["id"])
    attempts = [event["attempt"] for event in way.site.events("answers", id=answer["id"])]
    assert attempts == [1, 2]


def test_task_leaves_no_trace_in_the_next_one(way, name):
    for number in range(2):
        way.enqueue("shop.tasks.look_around", [name, number])
        (done,) = way.site.wait_for("look_around", tag=[name, number])
        assert done["visitor"] is None
        assert (done["language"], done["time_zone"]) == ("de", "Europe/Berlin")
    assert way.call("shop.producers.surroundings") == [None, "de", "Europe/Berlin"]


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        ("enqueue_objects", "InvalidArguments", "kwargs['user'].profile[1]: object is not JSON"),
        ("enqueue_too_few", "InvalidArguments", "missing a required argument: 'note'"),
        ("enqueue_to_nowhere", "InvalidSpoolerTask", "Known are default, mail"),
        ("enqueue_beyond_all_priorities", "InvalidSpoolerTask", "between -100 and 100"),
    ],
)
def test_what_cannot_run_is_refused_at_once_with_the_remedy(way, function, kind, text):
    before = len(way.origin.events("task_enqueued"))
    with pytest.raises(CallError) as caught:
        way.call(f"shop.producers.{function}")
    assert {kind, "SpoolerError"} <= set(caught.value.kinds)
    assert text in caught.value.message
    assert len(way.origin.events("task_enqueued")) == before


def test_task_of_a_committed_transaction_runs_after_the_commit(way, name):
    assert way.call("shop.producers.in_a_transaction", name, fails=False)
    (ending,) = way.origin.wait_for("about_to_end", tag=name)
    (done,) = way.site.wait_for("ordered", label=name)
    assert done["at"] > ending["at"]


def test_task_of_a_rolled_back_transaction_never_runs(way, name):
    assert not way.call("shop.producers.in_a_transaction", name, fails=True)
    way.enqueue("shop.tasks.ordered", [name, "after it"])
    way.site.wait_for("ordered", label=[name, "after it"])
    assert not way.site.events("ordered", label=name)


@pytest.mark.parametrize("queued", QUEUED)
def test_time_is_waited_for(ways, queued, name):
    start = time.time()
    ways[queued].enqueue("shop.tasks.ordered", name, using={"run_after": 1.2})
    (done,) = ways[queued].site.wait_for("ordered", label=name)
    assert start + 1.2 <= done["at"] < start + 5


def test_inline_waits_for_no_time_and_repeats_nothing(ways, name):
    answer = ways["inline"].enqueue("shop.tasks.repeats", name, 5, using={"run_after": 3600})
    assert answer["status"] in ("READY", "SUCCESSFUL")
    assert len(ways["inline"].site.events("repeats", tag=name)) == 1


def test_remote_socket_refuses_what_it_cannot_carry(ways):
    with pytest.raises(CallError) as caught:
        ways["remote"].enqueue("shop.tasks.echo", "x" * 70_000)
    assert {"SpoolUnavailable", "EnqueueError"} <= set(caught.value.kinds)
    assert "carries 58 KiB" in caught.value.message
