"""Where no spooler is: outside uWSGI, and under a uWSGI that has none."""

import time

import pytest

from .server import CallError
from .setups import BARE, NO_SPOOLER, Setup

ENQUEUE = "mysite.calls.enqueue"
SHELL = """
from shop.tasks import echo, fails_until
result = echo.enqueue("from the shell", number=1)
print(result.status, result.attempts, result.return_value)
print("then", fails_until.enqueue(9).status)
"""


def test_shell_enqueues_inline_and_goes_on_after_a_failure(launch):
    site = launch.site(OPTIONS={"BACKOFF": 3600})
    printed = site.manage("shell", "-c", SHELL)
    assert "SUCCESSFUL 1 [['from the shell'], {'number': 1}]" in printed
    assert "then FAILED" in printed
    (done,) = site.events("echo")
    assert done["args"] == ["from the shell"]
    assert [event["attempt"] for event in site.events("fails_until")] == [1, 2, 3]
    assert {event["pid"] for event in site.events("fails_until")} == {done["pid"]}
    assert "attempt 3 fails as told" in printed, "the error is logged"
    assert not site.spool.exists()


def test_error_of_an_inline_task_reaches_the_caller_who_asked_for_it(launch):
    producer = launch.producer(launch.site(OPTIONS={"INLINE_RAISES": True}))
    with pytest.raises(CallError, match="attempt 3 fails as told") as caught:
        producer.call(ENQUEUE, "shop.tasks.fails_until", [9], {})
    assert caught.value.kinds[0] == "RuntimeError"


def test_error_refuses_by_name_and_with_the_remedy(launch):
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "error"})
    with pytest.raises(CallError) as caught:
        launch.producer(site).call(ENQUEUE, "shop.tasks.echo", [1], {})
    assert {"NoSpooler", "EnqueueError", "SpoolerError"} <= set(caught.value.kinds)
    assert 'set it to "inline"' in caught.value.message
    assert not site.events()


def test_spool_keeps_the_tasks_for_a_uwsgi_that_starts_later(launch):
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    producer = launch.producer(site)
    for number in range(20):
        producer.call(ENQUEUE, "shop.tasks.ordered", [number], {})
    assert not site.events("ordered")
    server = launch.server(BARE, site=site)
    done = site.wait_for("ordered", 20)
    assert [event["label"] for event in done] == list(range(20))
    assert {event["pid"] for event in done} <= set(server.runners)


def test_idle_spooler_soon_takes_what_another_process_put_there(launch):
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    launch.server(BARE, site=site)
    producer = launch.producer(site)
    waits = []
    for number in range(10):
        start = time.time()
        producer.call(ENQUEUE, "shop.tasks.ordered", [number], {})
        (done,) = site.wait_for("ordered", label=number)
        waits.append(done["at"] - start)
    assert sorted(waits)[len(waits) // 2] < 1


def test_plain_worker_serves_the_same_directory(launch):
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    producer = launch.producer(site)
    for number in range(5):
        producer.call(ENQUEUE, "shop.tasks.ordered", [number], {})
    site.manage("spooler", "work", "--until-empty")
    assert [event["label"] for event in site.events("ordered")] == list(range(5))


def test_uwsgi_without_a_spooler_refuses_by_name_and_with_the_remedy(launch):
    server = launch.server(NO_SPOOLER)
    with pytest.raises(CallError) as caught:
        server.call(ENQUEUE, "shop.tasks.echo", [1], {})
    assert {"NoSpooler", "EnqueueError"} <= set(caught.value.kinds)
    assert "spooler = /absolute/path/to/spool" in caught.value.message
    assert "import = django_spooler.worker" in caught.value.message
    assert server.request("GET", "/").status == 200
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("setup", "size", "remedy"),
    [
        (NO_SPOOLER, 100, "it has no spooler"),
        (
            Setup("small buffer", (*BARE.arguments, "--socket", "{socket}")),
            10_000,
            "buffer-size = 65535",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Setup) else "",
)
def test_remote_uwsgi_that_takes_no_task_is_an_error_with_the_remedy(launch, setup, size, remedy):
    server = launch.server(setup)
    site = launch.site(
        OPTIONS={
            "OUTSIDE_UWSGI": "spool",
            "SPOOLERS": {"default": f"uwsgi://{server.socket_address}"},
        }
    )
    with pytest.raises(CallError) as caught:
        launch.producer(site).call(ENQUEUE, "shop.tasks.echo", ["x" * size], {})
    assert "SpoolUnavailable" in caught.value.kinds
    assert remedy in caught.value.message
