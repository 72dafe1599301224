"""A connection opened before the fork stays the master's; each task starts with one of its own."""

import pytest
from django.db import connection

from .setups import BARE, SHIPPED

_LOOK = "shop.tasks.look_at_database"


@pytest.fixture(scope="module", params=[BARE, SHIPPED], ids=lambda setup: setup.name)
def uwsgi_setup(request):
    return request.param


def look(server, tag):
    """Return what a task finds of the database."""
    server.call("mysite.calls.enqueue", _LOOK, [tag], {})
    (done,) = server.site.wait_for("look_at_database", tag=tag)
    return done


def test_no_process_uses_the_connection_opened_before_the_fork(server, name):
    in_web = server.call("shop.database.look")
    in_runner = look(server, name)
    for found in (in_web, in_runner):
        assert not found["inherited"]
        assert found["early_pid"] == server.master, "it was opened in the master"
    assert in_runner["pid"] in server.runners


@pytest.mark.applies_if(connection.vendor != "sqlite")
def test_sessions_of_the_database_server_are_not_shared(server, name):
    in_web = server.call("shop.database.look")
    in_runner = look(server, name)
    sessions = [in_web["session"], in_runner["session"], in_web["early_session"]]
    assert len(set(sessions)) == 3


@pytest.mark.applies_if(connection.vendor != "sqlite")
def test_end_of_a_process_leaves_the_masters_session_open(launch, name, django_db_blocker):
    server = launch.server(BARE)
    session = look(server, name)["early_session"]
    for pid in (*server.runners, *server.web_workers):
        server.kill(pid)
    again = look(server, f"{name} again")
    assert again["early_session"] == session
    with django_db_blocker.unblock():
        assert session in sessions_of_the_server()
    # A second master would have opened another one at its import.
    assert again["early_pid"] == server.master


def test_each_task_opens_its_own_connection(server, name):
    first, second = look(server, f"{name} 1"), look(server, f"{name} 2")
    assert not first["was_open"]
    assert not second["was_open"]
    if connection.vendor != "sqlite":
        assert first["session"] != second["session"]


def test_transaction_left_open_is_rolled_back_before_the_next_task(server, name):
    server.call("mysite.calls.enqueue", "shop.tasks.leave_transaction_open", [name], {})
    server.site.wait_for("leave_transaction_open", number=name)
    after = look(server, name)
    assert name not in after["orders"]
    assert not after["in_transaction"]


def test_connection_that_the_server_closed_is_replaced(server, name):
    server.call("mysite.calls.enqueue", "shop.tasks.break_connection", [], {})
    server.site.wait_for("break_connection")
    assert look(server, name)["orders"] is not None


def sessions_of_the_server():
    """Return the numbers of all sessions the database's server has."""
    queries = {
        "postgresql": "SELECT pid FROM pg_stat_activity",
        "mysql": "SELECT id FROM information_schema.processlist",
    }
    with connection._nodb_cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return [number for (number,) in cursor.fetchall()]
