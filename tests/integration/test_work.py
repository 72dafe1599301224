"""``manage.py spooler work`` and the signals that end it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


def _spawn(site: Site, *options: str) -> Worker:
    return subprocess.Popen(
        [sys.executable, "manage.py", "spooler", "work", *options],
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


# With --reload


@pytest.fixture
def reloading(launch) -> Iterator[tuple[Site, Worker, Path]]:
    """Start a worker that follows changes, of a site with a task in a module of its own."""
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    module = site.directory / "shop" / "changing.py"
    write_version(module, 1)
    with (site.directory / "shop" / "tasks.py").open("a") as tasks:
        tasks.write("\nfrom shop import changing\n")
    worker = _spawn(site, "--reload")
    yield site, worker, module
    worker.send_signal(signal.SIGTERM)  # nothing, where it has ended
    worker.wait(DEADLINE)


def write_version(module: Path, version: object) -> None:
    """Write a task that tells its version, at a time no file had before."""
    module.write_text(
        "from django_spooler import spooler_task\n"
        "from mysite.events import record\n\n\n"
        f"@spooler_task\ndef tells_version():\n    record('version', number={version})\n"
    )
    later = time.time() + float(len(module.read_text()) % 97) + 1
    os.utime(module, (later, later))


def wait_for_version(site: Site, version: int) -> None:
    """Enqueue until a worker answers with the version."""

    def answers() -> bool:
        site.manage("spooler", "enqueue", "shop.changing.tells_version")
        return bool(site.events("version", number=version))

    wait_until(answers, f"version {version} answers")


def test_worker_follows_a_change_of_the_code(reloading):
    site, worker, module = reloading
    wait_for_version(site, 1)
    write_version(module, 22)
    wait_for_version(site, 22)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(DEADLINE) == 0


def test_worker_comes_back_from_code_that_cannot_be_imported(reloading):
    site, worker, module = reloading
    wait_for_version(site, 1)
    write_version(module, "(")
    (child,) = _children(worker.pid)
    wait_until(lambda: child not in _children(worker.pid), "it was told to end")
    write_version(module, 333)
    wait_for_version(site, 333)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
