"""``manage.py spooler work`` and the signals that end it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from .server import DEADLINE, Site, wait_until

ENQUEUE = "mysite.calls.enqueue"

Worker = subprocess.Popen  # in a session of its own, so that its group can be signalled


@pytest.fixture
def start(launch) -> Iterator[Callable[..., tuple[Site, Worker, dict]]]:
    """Start a plain worker on a site with one task that waits at a gate, or one of these."""
    with contextlib.ExitStack() as stack:

        def start(task="shop.tasks.gated", event="started", **options):
            site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool", **options})
            site.close_gate("gate")
            launch.producer(site).call(ENQUEUE, task, ["gate"], {})
            worker = _spawn(site)
            stack.callback(_end, worker)
            (started,) = site.wait_for(event)
            return site, worker, started

        yield start


def _spawn(site: Site) -> Worker:
    return subprocess.Popen(
        [sys.executable, "manage.py", "spooler", "work"],
        cwd=site.directory,
        env=site.environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(worker: Worker) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(DEADLINE)


@pytest.mark.parametrize(
    ("whom", "signum"),
    [(os.kill, signal.SIGTERM), (os.kill, signal.SIGINT), (os.killpg, signal.SIGINT)],
    ids=["SIGTERM", "SIGINT", "Ctrl-C, which all processes get"],
)
def test_first_signal_lets_the_task_end(start, whom, signum):
    site, worker, started = start()
    whom(worker.pid, signum)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.5)
    site.open_gate("gate")
    (ended,) = site.wait_for("ended")
    assert (ended["pid"], ended["stopping"]) == (started["pid"], True)
    assert worker.wait(DEADLINE) == 0


def test_second_signal_ends_the_task_at_once_and_it_has_all_its_attempts_left(start):
    site, worker, started = start(MAX_ATTEMPTS=1)
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: _has_heard(site), "the runner has heard the first")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(DEADLINE) == 0
    assert site.events("ended") == []
    site.open_gate("gate")
    site.manage("spooler", "work", "--until-empty")
    (ended,) = site.wait_for("ended")
    assert ended["pid"] != started["pid"]
    assert ended["attempt"] == 1


def _has_heard(site: Site) -> bool:
    words = list((site.spool / "django" / "tmp").glob("words-*"))
    return any("told to leave" in path.read_text() for path in words)


def test_task_that_hears_no_signal_does_not_keep_the_worker(start):
    site, worker, _ = start("rough.tasks.stays_in_c", "stays_in_c", STOP_GRACE=0.5)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(DEADLINE) == 0
    assert '"attempt": 0' in site.manage("spooler", "list", "--state", "ready", "--json")


def test_pause_holds_for_it_too(start):
    site, _, _ = start()
    site.manage("spooler", "pause", "--queue", "default")
    site.open_gate("gate")
    site.wait_for("ended")
    site.manage("spooler", "enqueue", "shop.tasks.ordered", "--args", '["paused"]')
    site.manage("spooler", "enqueue", "shop.tasks.ordered", "--args", '["mail"]', "--queue", "mail")
    site.wait_for("ordered", label="mail")
    assert site.events("ordered", label="paused") == []
    site.manage("spooler", "resume")
    site.wait_for("ordered", label="paused")


@pytest.mark.parametrize("command", [["pause"], ["resume"], ["work", "--until-empty"]])
def test_queue_that_the_site_does_not_have_is_an_error_with_those_it_has(launch, command):
    site = launch.site()
    option = "--queues" if command[0] == "work" else "--queue"
    with pytest.raises(AssertionError, match=r"'mial'\. There are: default, mail\."):
        site.manage("spooler", *command, option, "mial")
