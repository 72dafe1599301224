"""A disk that is full, read-only or gone, and a process without descriptors.

``enqueue`` refuses with cause and remedy and leaves nothing half-written. A task whose end cannot be
written is not run again meanwhile. When the cause is gone everything goes on, and nothing is lost.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess

import pytest

from .server import CallError, wait_until
from .setups import BARE

pytestmark = pytest.mark.applies_if(os.geteuid() == 0)  # who else may mount a disk?

ENQUEUE = "mysite.calls.enqueue"
GATE = "gate"


@pytest.fixture
def disk(tmp_path):
    """Mount a disk of 256 KiB and 60 files."""
    with mounted("-t", "tmpfs", "-o", "size=256k,nr_inodes=60", "tmpfs", tmp_path):
        yield tmp_path


@pytest.fixture
def server(disk, launch):
    """Serve a spool directory on that disk."""
    spool = disk / "spool"
    site = launch.site(OPTIONS={"SPOOLERS": dict.fromkeys(["default", "mail"], str(spool))})
    site.spool = spool
    return launch.server(BARE, site=site)


@contextlib.contextmanager
def mounted(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(arguments[-1])], check=True)


@contextlib.contextmanager
def full(disk):
    """Leave no room for a byte, until the block ends."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass
    yield
    filler.unlink()


@contextlib.contextmanager
def without_inodes(disk):
    """Leave no room for another file, until the block ends."""
    (disk / "fillers").mkdir()
    with contextlib.suppress(OSError):
        for number in range(1000):
            (disk / "fillers" / str(number)).touch()
    yield
    shutil.rmtree(disk / "fillers")


@contextlib.contextmanager
def read_only(disk):
    """Let nothing be changed, until the block ends."""
    with mounted("--bind", disk / "spool", disk / "spool"):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk / "spool")], check=True)
        yield


TROUBLES = {
    full: "The disk is full: free room",
    without_inodes: "The disk is full: free room",
    read_only: "The file system is read-only: remount it",
}


def start_at_the_gate(server, task="gated"):
    """Let a task wait at the gate; return what it recorded."""
    server.site.close_gate(GATE)
    server.call(ENQUEUE, f"shop.tasks.{task}", [GATE], {})
    (started,) = server.site.wait_for("started")
    return started


def run(server, label):
    """Run a task; return the process it ran in."""
    server.call(ENQUEUE, "shop.tasks.ordered", [label], {})
    (done,) = server.site.wait_for("ordered", label=label)
    return done["pid"]


def task_files(server):
    """Return every file that is, or was to become, a task."""
    return sorted(
        str(path) for path in server.spool.rglob("*uwsgi_spoolfile_on_*") if path.is_file()
    )


def listed(server, state):
    """Return what the command line shows of a state."""
    return json.loads(server.site.manage("spooler", "list", "--state", state, "--json"))


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_enqueue_says_what_is_wrong_and_leaves_nothing(disk, server, trouble):
    run(server, "before")
    wait_until(lambda: len(task_files(server)) == 1, "only the bell is left")
    before = task_files(server)
    with trouble(disk):
        for size, using in itertools.product((1, 300_000), ({}, {"run_after": 3600})):
            with pytest.raises(CallError) as caught:
                server.call(ENQUEUE, "shop.tasks.ordered", ["x" * size], {}, using)
            assert "SpoolUnavailable" in caught.value.kinds
            assert TROUBLES[trouble] in caught.value.message
        assert task_files(server) == before
    run(server, "after")
    assert [event["label"] for event in server.site.events("ordered")] == ["before", "after"]


def test_refused_tasks_leave_no_empty_files_behind(disk, server):
    """uWSGI shows a file before it is whole; a runner that claimed one kept it from being taken back."""
    with full(disk):
        server.call("shop.producers.enqueue_refused", 200)
    assert server.log.count("uwsgi_spool_request()/") <= 2  # a line for each file it made in vain
    run(server, "after")


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_task_that_ends_meanwhile_is_not_run_again(disk, server, trouble):
    started = start_at_the_gate(server)
    with trouble(disk):
        server.site.open_gate(GATE)
        server.site.wait_for("ended")
        if trouble is read_only:
            wait_until(lambda: "cannot be moved yet" in server.log, "it was tried to settle")
    run(server, "after")
    assert server.site.events("started") == [started]


def test_task_that_fails_on_a_full_disk_stands_in_failed_even_without_its_reason(disk, server):
    started = start_at_the_gate(server, "fails_at_the_gate")
    with full(disk):
        server.site.open_gate(GATE)
        server.site.wait_for("task_failed", id=started["id"])
        (failed,) = listed(server, "failed")
        assert (failed["id"], failed["task"]) == (started["id"], "shop.tasks.fails_at_the_gate")
        # The block the message stands in had room for the journal's line.
        assert failed["reason"] == (
            "RuntimeError: failed as told (attempt 1; the reason could not be kept)"
        )
        assert 'raise RuntimeError("failed as told")' in failed["traceback"]
    server.site.manage("spooler", "retry", started["id"])
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 1)
    server.site.wait_for("task_failed", 2)


def test_task_that_fails_where_no_file_can_be_made_waits_and_keeps_its_reason(disk, server):
    started = start_at_the_gate(server, "fails_at_the_gate")
    with without_inodes(disk):
        server.site.open_gate(GATE)
        wait_until(lambda: "cannot be moved yet" in server.log, "it was tried to settle")
    server.site.wait_for("task_failed", id=started["id"])
    (failed,) = listed(server, "failed")
    assert (failed["id"], failed["reason"]) == (
        started["id"],
        "RuntimeError: failed as told (attempt 1 of 1)",
    )
    assert server.site.events("started") == [started]


def test_runner_that_is_killed_meanwhile_is_replaced_when_the_cause_is_gone(disk, server):
    started = start_at_the_gate(server)
    with without_inodes(disk):
        server.kill(started["pid"])
        wait_until(lambda: "makes trouble" in server.log, "no other can start")
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)
    server.site.open_gate(GATE)
    run(server, "after")


# The directory is deleted


def test_directory_that_is_deleted_is_made_anew_and_served(disk, server):
    run(server, "before")
    delete(server.spool)
    run(server, "after")
    assert_served(server)


def test_process_whose_card_is_deleted_has_one_again(disk, server):
    run(server, "before")
    for card in (server.spool / "django" / "processes").iterdir():
        card.unlink()
    assert_served(server)


def test_task_that_runs_while_the_directory_is_deleted_ends_there(disk, server):
    start_at_the_gate(server)
    delete(server.spool)
    server.site.open_gate(GATE)
    server.site.wait_for("ended")
    run(server, "after")
    assert len(server.site.events("started")) == 1
    assert_served(server)


def delete(directory):
    """Delete a directory in use: what a runner makes in it meanwhile needs another try."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)
            return
    pytest.fail(f"{directory} cannot be deleted")


def assert_served(server):
    """Assert that the runner is known, so that its death costs its task one attempt."""
    status = lambda: json.loads(server.site.manage("spooler", "status", "--json"))  # noqa: E731
    wait_until(lambda: status()["spoolers"][0]["processes"], "a process is known")
    server.site.close_gate("another gate")
    server.call(ENQUEUE, "shop.tasks.gated", ["another gate"], {})
    (started,) = server.site.wait_for("started", gate="another gate")
    server.kill(started["pid"])
    again = server.site.wait_for("started", 2, gate="another gate")[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)


# A process without descriptors


def test_web_worker_without_descriptors_says_so(disk, server):
    with pytest.raises(CallError) as caught:
        server.call("shop.producers.enqueue_without_descriptors", "refused")
    assert "SpoolUnavailable" in caught.value.kinds
    assert "The process has used up its descriptors" in caught.value.message
    run(server, "after")
    assert not server.site.events("ordered", label="refused")


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "returns"])
def test_task_that_leaks_descriptors_harms_no_other(disk, server, fails):
    first = run(server, "before")
    server.call(ENQUEUE, "shop.tasks.leaks_descriptors", ["leak", fails], {})
    server.site.wait_for("leaks_descriptors")
    for number in range(5):
        assert run(server, number) != first
    assert "has used up its descriptors" in server.log
    if fails:
        server.site.wait_for("task_failed")
        (failed,) = listed(server, "failed")
        assert "Too many open files" in failed["reason"]
        assert "shop/tasks.py" in failed["traceback"]
