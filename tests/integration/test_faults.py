"""Every file call fails once: what was accepted is there whole, what was refused is not there.

The 1st, 2nd, 3rd... call of a verb below the spool directory fails, until a run meets no fault: once,
or for good until its cause is gone, with the errors of a full, broken, closed or exhausted system;
or the process dies at it, as by SIGKILL. After each, every task that was accepted stands in the
directory exactly once and whole (or is done, if that is what was asked for), nothing that was refused
is left, and the verb succeeds once the cause is gone. A disk that is full takes half of what is
written to it.
"""

import http.client
import itertools
import json
import os

import pytest

from .preload import build
from .server import wait_until
from .setups import BARE


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build("faults", tmp_path_factory.mktemp("preload"))


@pytest.fixture(scope="module")
def faulty(launch_for_module, shim):
    """Return a process of the site in which calls can fail."""
    site = launch_for_module.site()
    site.environment["LD_PRELOAD"] = str(shim)
    return launch_for_module.producer(site)


VERBS = [
    "enqueue",
    "enqueue_into_nothing",
    "enqueue_for_later",
    "enqueue_with_fsync",
    "enqueue_many_with_fsync",
    "claim",
    "settle_done",
    "settle_again",
    "settle_repeat",
    "settle_failed",
    "become_due",
    "set_aside",
    "retry",
    "discard",
    "prioritize",
    "prioritize_what_is_scheduled",
    "run_now",
    "clean_scanned_directory",
    "begin_and_leave",
    "put_back_what_a_deploy_cut",
    "put_back_what_killed_its_process",
    "give_up_what_kills_its_process",
]


ERRORS = ["ENOSPC", "EIO", "EACCES", "EMFILE"]


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_lost_or_doubled_by_one_error(faulty, verb):
    for error in ERRORS:
        assert faulty.call("mysite.faulty.sweep", verb, error) >= 1


# What is refused because of its fsync is taken back, which "for good" forbids too.
@pytest.mark.parametrize("verb", [verb for verb in VERBS if "with_fsync" not in verb])
def test_nothing_is_lost_or_doubled_by_an_error_that_stays(faulty, verb):
    for error in ERRORS:
        assert faulty.call("mysite.faulty.sweep", verb, error, True) >= 1


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_lost_or_doubled_by_a_death(faulty, verb):
    assert faulty.call("mysite.faulty.sweep", verb, "death") >= 1


# The same under uWSGI, whose own C code writes the file there


@pytest.fixture(scope="module")
def server(launch_for_module, shim):
    site = launch_for_module.site()
    site.environment["LD_PRELOAD"] = str(shim)
    server = launch_for_module.server(BARE, site=site)
    site.manage("spooler", "pause")  # what is enqueued shall stay there to be looked at
    return server


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("using", [{}, {"run_after": 3600}], ids=["now", "later"])
def test_enqueue_under_uwsgi_accepts_wholly_or_refuses(server, using, for_good):
    # An error that forbids to delete leaves what uWSGI has begun to write.
    for error in ["ENOSPC", "EMFILE"] if for_good else ERRORS:
        for number in itertools.count(1):
            before = server.call("mysite.faulty.waiting")
            told = server.call("mysite.faulty.enqueue_under", error, number, for_good, using)
            after = server.call("mysite.faulty.waiting")
            new = [told["accepted"]] if told["accepted"] else []
            assert sorted(after) == sorted(before + new), told
            if told["calls"] < number:
                break
            assert told["accepted"] or str(server.spool) in told["refusal"]
        assert number > 3
        assert told["accepted"]


def test_web_worker_that_dies_while_it_enqueues_leaves_a_whole_task_or_a_damaged_one(server):
    site = server.site
    for number in itertools.count(1):
        try:
            told = server.call("mysite.faulty.enqueue_under", "death", number)
        except (http.client.HTTPException, OSError, AssertionError):
            wait_until(lambda: answers(server), "uWSGI has started another worker")
        else:
            break
    assert number > 3
    assert told["accepted"]

    site.manage("spooler", "resume")
    accepted = {event["id"] for event in site.events("task_enqueued")}
    scheduled = {entry["id"] for entry in listed(site, "scheduled")}
    assert told["accepted"] in accepted
    wait_until(
        lambda: accepted <= scheduled | {event["id"] for event in site.events("task_finished")},
        "all that was accepted is done",
    )
    assert {entry["reason"].partition(":")[0] for entry in listed(site, "failed")} <= {
        "DamagedTask"
    }


def answers(server):
    """Tell whether a web worker is there."""
    try:
        return server.request("GET", "/").status == 200
    except (http.client.HTTPException, OSError):
        return False


def listed(site, state):
    """Return what the command line shows of a state."""
    return json.loads(site.manage("spooler", "list", "--state", state, "--json"))


# With FSYNC: what is on the disk when enqueue returns


@pytest.mark.parametrize("using", [{}, {"run_after": 3600}], ids=["now", "later"])
@pytest.mark.parametrize("process", ["uwsgi", "outside"])
def test_with_fsync_file_and_directories_are_on_the_disk(launch, shim, process, using):
    site = launch.site(OPTIONS={"FSYNC": True, "OUTSIDE_UWSGI": "spool"})
    site.environment["LD_PRELOAD"] = str(shim)
    served = launch.server(BARE, site=site) if process == "uwsgi" else launch.producer(site)
    home = str(site.directory)
    traces = [
        served.call("mysite.faulty.trace_enqueue", {**using, "priority": priority}, home)
        for priority in (7, 7, 8)  # into directories that are new, known, and new again
    ]
    for calls in traces:
        assert_durable(calls)
    assert ["fsync", home, ""] in traces[0], "the spool directory may be gone"


def test_with_fsync_a_task_of_another_priority_is_on_the_disk(launch, shim):
    site = launch.site(OPTIONS={"FSYNC": True, "OUTSIDE_UWSGI": "spool"})
    site.environment["LD_PRELOAD"] = str(shim)
    calls = launch.producer(site).call("mysite.faulty.trace_prioritize")
    renames = [number for number, (name, *_) in enumerate(calls) if name == "rename"]
    (written,) = (number for number in renames if f"{site.spool}/django/tmp/" in calls[number][1])
    assert ["fsync", calls[written][1]] in [call[:2] for call in calls[:written]]
    back = max(renames)
    target = os.path.dirname(calls[back][2])
    assert target.endswith("/ready/default/67")
    for directory in (target, os.path.dirname(target)):
        assert ["fsync", directory] in [call[:2] for call in calls[back:]]


@pytest.mark.parametrize("process", ["uwsgi", "outside"])
def test_with_fsync_many_tasks_of_a_block_are_on_the_disk_by_one_sync_of_their_directory(
    launch, shim, process
):
    site = launch.site(OPTIONS={"FSYNC": True, "OUTSIDE_UWSGI": "spool"})
    site.environment["LD_PRELOAD"] = str(shim)
    served = launch.server(BARE, site=site) if process == "uwsgi" else launch.producer(site)
    calls = served.call("mysite.faulty.trace_bulk_enqueue", 20, str(site.directory))
    published = {  # the last time, since the first fails where the directory is not there yet
        target: number
        for number, (name, path, target) in enumerate(calls)
        if (name, os.path.basename(path)) == ("rename", os.path.basename(target))
    }
    assert len(published) == 20
    for renamed in published.values():
        assert_durable(calls, renamed)
    (ready,) = set(map(os.path.dirname, published))
    assert [call[:2] for call in calls].count(["fsync", ready]) == 1


def assert_durable(calls, renamed=None):
    """Assert that after these calls a power cut leaves a file, its content and the way to it.

    It is the file of a rename, by default the last. Content and time are on the disk by an fsync of
    the file behind its last change and before it gets its name; an entry of a directory by an fsync
    of that directory behind it.
    """
    if renamed is None:
        renamed = max(number for number, (name, *_) in enumerate(calls) if name == "rename")
    _, beside, target = calls[renamed]
    of_file = [name for name, path, _ in calls[:renamed] if path == beside]
    changes = [number for number, name in enumerate(of_file) if name in ("write", "utimensat")]
    assert of_file.index("fsync") > max(changes), of_file
    made = {path: number for number, (name, path, _) in enumerate(calls) if name == "mkdir"}
    for path, number in {**made, target: renamed}.items():
        synced = [name for name, synced, _ in calls[number:] if synced == os.path.dirname(path)]
        assert "fsync" in synced, f"{path} may be gone"
