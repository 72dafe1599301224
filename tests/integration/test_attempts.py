"""However a task ends, it is one attempt: counted, told once, and kept if it was the last."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from .server import Server, wait_until
from .setups import BARE, LAZY, SHIPPED

ENQUEUE = "mysite.calls.enqueue"
ENDINGS = [
    "ValueError",
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "StopIteration",
    "CancelledError",
]
MEDDLINGS = [
    "directory",
    "umask",
    "signals",
    "alarm",
    "fork",
    "fork and return",
    "thread",
    "limits",
    "limits for good",
    "process",
    "descriptors",
    "output",
]


def enqueue(server: Server, task: str, *args, **using) -> str:
    """Enqueue a call and return its id."""
    return server.call(ENQUEUE, task, list(args), {}, using=using)["id"]


def show(server: Server, identifier: str) -> dict:
    """Return what the command line tells of one task."""
    return json.loads(server.site.manage("spooler", "show", identifier, "--json"))


def attempts_of(server: Server, event: str, identifier: str) -> list[int]:
    """Return the attempts recorded under ``event``."""
    return [line["attempt"] for line in server.site.events(event, id=identifier)]


def is_alive(server: Server, name: str) -> int:
    """Run another task and return the pid of its process."""
    enqueue(server, "shop.tasks.ordered", name)
    (done,) = server.site.wait_for("ordered", label=name)
    return done["pid"]


# What a task raises


@pytest.mark.parametrize("task", ["ends_by", "ends_on_the_loop_by"])
@pytest.mark.parametrize("kind", ENDINGS)
def test_whatever_a_task_raises_is_a_failed_attempt_and_its_process_lives(server, name, task, kind):
    before = is_alive(server, f"{name} before")
    identifier = enqueue(server, f"rough.tasks.{task}", kind)
    server.site.wait_for("task_failed", id=identifier)
    assert attempts_of(server, "ends_by", identifier) == [1, 2]
    assert is_alive(server, f"{name} after") == before


def test_signals_are_sent_once_and_failed_ones_with_the_exception(server):
    identifier = enqueue(server, "rough.tasks.ends_by", "ValueError")
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert told["exception"] == "ValueError as told"
    assert told["reason"] == "ValueError: ValueError as told (attempt 2 of 2)"
    for name in ("task_enqueued", "task_started", "task_retried", "task_finished"):
        assert len(server.site.events(name, id=identifier)) == 1, name


def test_each_attempt_is_logged_once_with_its_traceback(server):
    identifier = enqueue(server, "rough.tasks.ends_by", "ValueError")
    server.site.wait_for("task_failed", id=identifier)
    lines = server.log.splitlines()
    starts = [number for number, line in enumerate(lines) if f"id={identifier}" in line]
    with_traceback = [n for n in starts if lines[n + 1].startswith("Traceback")]
    assert len(with_traceback) == 2, "\n".join(lines[n] for n in starts)


@pytest.mark.parametrize("kind", ["retry", "other"])
def test_each_failed_attempt_stands_once_in_the_log_as_django_sets_logging_up(launch, kind):
    server = launch.server(BARE, LOGGING={})
    identifier = enqueue(server, "rough.tasks.choosy", kind)
    server.site.wait_for("task_failed", id=identifier)
    server.site.wait_for("task_finished", id=identifier)
    assert server.log.count("Traceback") == len(attempts_of(server, "choosy", identifier))


def test_task_that_closes_its_output_is_told_of_like_any(launch):
    server = launch.server(BARE, LOGGING={})
    identifier = enqueue(server, "rough.tasks.closes_its_output")
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert told["reason"] == "ValueError: closed (attempt 2 of 2)"
    for name in ("task_retried", "task_finished"):
        assert len(server.site.events(name, id=identifier)) == 1, name
    assert server.log.count("ValueError: closed\n") == 3, (
        "once a line of the log, and the tracebacks"
    )


def test_value_that_is_not_json_is_no_failure_where_nobody_keeps_it(server):
    identifier = enqueue(server, "rough.tasks.returns_a_set")
    server.site.wait_for("task_finished", id=identifier)
    assert not server.site.events("task_retried", id=identifier)
    assert attempts_of(server, "returns_a_set", identifier) == [1]


@pytest.mark.parametrize(
    ("kind", "attempts", "failed"), [("retry", 3, 1), ("discard", 1, 0), ("other", 1, 1)]
)
def test_retry_on_and_discard_on_choose_what_is_tried_again(server, kind, attempts, failed):
    identifier = enqueue(server, "rough.tasks.choosy", kind)
    server.site.wait_for("task_finished", id=identifier)
    wait_until(lambda: len(server.site.events("task_failed", id=identifier)) == failed, "settled")
    assert attempts_of(server, "choosy", identifier) == list(range(1, attempts + 1))


def test_task_sees_how_its_earlier_attempts_ended(server):
    identifier = enqueue(server, "rough.tasks.remembers", 3)
    server.site.wait_for("task_finished", id=identifier)
    told = server.site.events("remembers", id=identifier)
    kind = "builtins.LookupError"
    assert [event["errors"] for event in told] == [[], [kind], [kind, kind]]


# What is kept


def test_show_tells_when_and_how_each_attempt_failed(server):
    began = time.time()
    identifier = enqueue(server, "rough.tasks.ends_by", "ValueError")
    server.site.wait_for("task_failed", id=identifier)
    shown = show(server, identifier)
    assert (shown["state"], shown["attempt"]) == ("failed", 2)
    assert [attempt["attempt"] for attempt in shown["attempts"]] == [1, 2]
    for attempt in shown["attempts"]:
        assert "ValueError: ValueError as told" in attempt["traceback"]
        assert began <= datetime.fromisoformat(attempt["at"]).timestamp() <= time.time()
    text = server.site.manage("spooler", "show", identifier)
    assert text.count("ValueError: ValueError as told") == 3, "the reason and two tracebacks"


def test_retry_starts_with_the_first_attempt_and_forgets_none_of_the_old(server):
    identifier = enqueue(server, "rough.tasks.ends_by", "ValueError")
    server.site.wait_for("task_failed", id=identifier)
    server.site.manage("spooler", "retry", identifier)
    server.site.wait_for("task_failed", 2, id=identifier)
    assert attempts_of(server, "ends_by", identifier) == [1, 2, 1, 2]
    assert [attempt["attempt"] for attempt in show(server, identifier)["attempts"]] == [1, 2, 1, 2]


def test_task_that_fails_again_at_once_keeps_its_id_in_failed(server):
    """The command's ``retry`` may still be busy when the task is set aside again.

    The second time it then stood in ``failed`` under an id that nobody knew.
    """
    identifier = enqueue(server, "rough.tasks.choosy", "other")
    server.site.wait_for("task_failed", id=identifier)
    for times in range(2, 6):
        server.site.manage("spooler", "retry", identifier)
        server.site.wait_for("task_failed", times, id=identifier)
        assert show(server, identifier)["state"] == "failed"


# Time


@pytest.mark.parametrize(
    ("task", "how"),
    [
        ("overruns", "sleep"),
        ("overruns", "thread"),
        ("overruns", "process"),
        ("overruns_on_the_loop", "sleep"),
    ],
)
def test_timeout_is_raised_in_the_task_and_is_an_attempt(server, name, task, how):
    before = is_alive(server, f"{name} before")
    identifier = enqueue(server, f"rough.tasks.{task}", how)
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert "ran for more than its timeout of 0.5 s (attempt 2 of 2)" in told["reason"]
    assert attempts_of(server, "overruns_finally", identifier) == [1, 2]
    assert is_alive(server, f"{name} after") == before


@pytest.mark.parametrize(
    ("task", "how", "where"),
    [
        ("overruns", "deaf", "_be_deaf"),
        ("overruns", "c", "_stay_in_c"),
        ("overruns_on_the_loop", "deaf", "run_until_complete"),
    ],
)
def test_task_deaf_to_its_timeout_is_killed_and_shows_where_it_hung(launch, task, how, where):
    server = launch.server(BARE, OPTIONS={"TIMEOUT_GRACE": 0.5})
    identifier = enqueue(server, f"rough.tasks.{task}", how)
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert told["reason"] == "killed the process (timeout) (attempt 2 of 2)"
    assert attempts_of(server, "overruns", identifier) == [1, 2]
    assert all(where in attempt["traceback"] for attempt in show(server, identifier)["attempts"])
    is_alive(server, "after")


# Memory


def test_memory_that_is_refused_is_an_error_of_the_task_and_its_process_lives(server, name):
    before = is_alive(server, f"{name} before")
    identifier = enqueue(server, "rough.tasks.hogs", "")
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert told["reason"].startswith("MemoryError")
    assert attempts_of(server, "hogs", identifier) == [1, 2]
    assert is_alive(server, f"{name} after") == before


@pytest.fixture
def memory_group() -> Iterator[str]:
    """Make a control group that is given 64 MiB; "nowhere" where none can be made."""
    group = next(filter(_make_memory_group, _memory_groups()), None)
    yield str(group or "nowhere")
    if group:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "nobody is left in the group")
        group.rmdir()


def _memory_groups() -> list[Path]:
    """Return where a group would be, in the first and in the second version of cgroups."""
    return [Path("/sys/fs/cgroup", home, f"spooler-{os.getpid()}") for home in ("memory", "")]


def _make_memory_group(group: Path) -> bool:
    limit = "memory.limit_in_bytes" if group.parent.name == "memory" else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(64 << 20))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return False
    return True


def test_task_that_the_kernel_kills_for_want_of_memory_ends_in_failed(server, name, memory_group):
    identifier = enqueue(server, "rough.tasks.hogs", memory_group)
    (told,) = server.site.wait_for("task_failed", id=identifier)
    assert told["reason"] == "killed the process (signal 9) (attempt 2 of 2)"
    assert attempts_of(server, "hogs", identifier) == [1, 2]
    is_alive(server, f"{name} after")


# What is left behind


@pytest.mark.parametrize("how", MEDDLINGS)
def test_next_task_runs_as_if_no_task_had_been_before(server, name, how):
    """A child that a task forked and let return once went on as a second runner of one card."""
    enqueue(server, "rough.tasks.surroundings", f"{name} before")
    (before,) = server.site.wait_for("surroundings", tag=f"{name} before")
    enqueue(server, "rough.tasks.meddles", how)
    for number in range(3):
        enqueue(server, "rough.tasks.surroundings", f"{name} {number}")
        (after,) = server.site.wait_for("surroundings", tag=f"{name} {number}")
        for fact in ("directory", "umask", "alarm", "blocked", "shell", "limits"):
            assert after[fact] == before[fact], fact
    wait_until(lambda: len(server.runners) == 1, "one runner is left")


@pytest.mark.parametrize("setup", [BARE, SHIPPED, LAZY], ids=lambda setup: setup.name)
def test_tasks_run_in_the_directory_of_the_web_workers(launch, setup):
    server = launch.server(setup)
    enqueue(server, "rough.tasks.surroundings", "where")
    (found,) = server.site.wait_for("surroundings", tag="where")
    assert found["directory"] == server.call("os.getcwd")


def test_stop_waits_for_a_task_after_one_that_ignored_signals(launch):
    server = launch.server(BARE)
    enqueue(server, "rough.tasks.meddles", "signals")
    server.site.close_gate("gate")
    enqueue(server, "shop.tasks.gated", "gate")
    server.site.wait_for("started", gate="gate")
    server.signal(server.master, signal.SIGINT)
    wait_until(lambda: not server.spoolers, "the spooler has gone")
    server.site.open_gate("gate")
    (ended,) = server.site.wait_for("ended", gate="gate")
    assert ended["stopping"] is True


# Retention


def test_failed_tasks_beyond_the_bounds_are_discarded_oldest_first(launch):
    server = launch.server(BARE, OPTIONS={"FAILED_MAX_COUNT": 2})
    identifiers = []
    for _ in range(4):
        identifiers.append(enqueue(server, "rough.tasks.choosy", "other"))
        server.site.wait_for("task_failed", id=identifiers[-1])
    server.reload()  # a new supervisor begins with its housekeeping
    wait_until(lambda: failed_ids(server) == identifiers[2:], "two are kept")


def test_failed_tasks_over_the_age_are_discarded_and_younger_ones_kept(launch):
    server = launch.server(BARE, OPTIONS={"FAILED_MAX_AGE": 3})
    old = enqueue(server, "rough.tasks.choosy", "other")
    (told,) = server.site.wait_for("task_failed", id=old)
    wait_until(lambda: time.time() > told["at"] + 3, "it is old enough")
    young = enqueue(server, "rough.tasks.choosy", "other")
    server.site.wait_for("task_failed", id=young)
    server.reload()
    wait_until(lambda: old not in failed_ids(server), "the old one is discarded")


def test_failed_tasks_are_kept_where_nothing_else_is_said(server):
    identifier = enqueue(server, "rough.tasks.choosy", "other")
    server.site.wait_for("task_failed", id=identifier)
    server.reload()
    assert identifier in failed_ids(server)


def failed_ids(server: Server) -> list[str]:
    """Return the ids of the failed tasks, the oldest first."""
    listed = server.site.manage("spooler", "list", "--state", "failed", "--json")
    return [entry["id"] for entry in json.loads(listed)]


def test_task_that_reads_the_files_of_the_spool_is_not_taken_for_dead(launch):
    # A backup of the site closed its own process's card, which dropped the lock on it. Then the
    # task was started again beside itself, and ended in failed as killed.
    server = launch.server(SHIPPED)
    server.call(ENQUEUE, "rough.tasks.reads_the_spool", [str(server.spool)], {})
    server.site.wait_for("ended_reading")
    server.site.wait_for("task_finished")
    assert len(server.site.events("started_reading")) == 1
    assert not server.site.events("task_failed")
