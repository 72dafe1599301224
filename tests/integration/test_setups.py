"""What is posted to a site runs in a spooler's process, however its uWSGI is set up."""

import pytest

from .server import Setup, wait_until
from .setups import BARE, FIRST_APP, LAZY, MOUNT, NO_IMPORT, NO_MASTER, SHIPPED, WSGI_FILE

TRICKY = [
    "",
    "ä€😀\u2028\x00",
    -1,
    0,
    2**80,
    1.5e-300,
    True,
    None,
    [],
    {},
    [[[]]],
    {"": {"a b": [1, {"ü": None}]}, "body": "b"},
    "x" * 70_000,
]


@pytest.fixture(
    scope="module",
    params=[BARE, SHIPPED, LAZY, NO_MASTER, FIRST_APP],
    ids=lambda setup: setup.name,
)
def uwsgi_setup(request: pytest.FixtureRequest) -> Setup:
    return request.param


def test_hundred_posts_are_answered_at_once_and_run_in_the_spoolers(server):
    posted = {}
    for number in range(100):
        answer = server.post("/order", number=str(number), note=f"ä€😀 {number}")
        assert answer.status == 202
        posted[str(number)] = answer.json()["pid"]
    done = server.site.wait_for("send_invoice", 100)
    assert {event["number"]: event["note"] for event in done} == {
        number: f"ä€😀 {number}" for number in posted
    }
    assert set(posted.values()) <= set(server.web_workers)
    assert {event["pid"] for event in done} <= set(server.runners)
    assert {event["parent"] for event in done} <= set(server.spoolers)


def test_arguments_arrive_as_they_left(server):
    for value in TRICKY:
        server.call("mysite.calls.enqueue", "shop.tasks.echo", [value], {"value": value})
    done = server.site.wait_for("echo", len(TRICKY))
    assert sorted(repr(event["args"]) for event in done) == sorted(repr([v]) for v in TRICKY)
    assert all(event["kwargs"] == {"value": event["args"][0]} for event in done)


@pytest.mark.parametrize(
    ("task", "event"),
    [
        ("shop.tasks.on_the_loop", "on_the_loop"),
        ("mail.tasks.plain", "plain"),
        ("mail.tasks.plain_async", "plain_async"),
        ("mysite.views.task_in_views", "task_in_views"),
    ],
)
def test_tasks_of_every_app_are_known_without_a_list(server, task, event):
    server.call("mysite.calls.enqueue", task, [event], {})
    (done,) = server.site.wait_for(event, value=event)
    assert done["pid"] in server.runners


def test_failed_task_is_tried_again(server):
    server.call("mysite.calls.enqueue", "shop.tasks.fails_until", [3], {})
    done = server.site.wait_for("fails_until", 3)
    assert [event["attempt"] for event in done] == [1, 2, 3]


def test_log_has_no_traceback_but_those_of_the_tasks(server):
    assert server.log.count("Traceback") == server.log.count("\nRuntimeError: attempt")


def test_lazy_apps_without_spooler_import_are_told_what_is_missing(launch):
    """A site with lazy-apps and import alone accepted tasks that never ran, without a word."""
    server = launch.server(Setup("lazy, without", ("--lazy-apps", *BARE.arguments)))
    wait_until(lambda: "spooler-import = django_spooler.worker" in server.log, "it says so")


@pytest.mark.parametrize("setup", [WSGI_FILE, MOUNT], ids=lambda setup: setup.name)
def test_site_is_found_however_uwsgi_was_told_of_it(launch, setup):
    server = launch.server(setup)
    server.call("mysite.calls.enqueue", "shop.tasks.echo", [1], {})
    server.site.wait_for("echo", args=[1])


def test_uwsgi_without_our_worker_says_once_that_it_runs_no_tasks(launch):
    server = launch.server(NO_IMPORT)
    for number in range(3):
        server.call("mysite.calls.enqueue", "shop.tasks.echo", [number], {})
    assert server.log.count("This uWSGI accepts tasks and runs none") == 1
