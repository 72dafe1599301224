"""What a claimed file comes to, and what others hear of it."""

import io
import os
from pathlib import Path

import pytest

from django_spooler.compat import task_finished
from django_spooler.consumer import Consumer
from django_spooler.processes.recovery import Recovery
from django_spooler.signals import task_failed, task_retried
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.place import Place, claimed_name
from django_spooler.spool.queue import Claimed

from . import tasks_for_tests as tasks


@pytest.fixture
def spool(settings, tmp_path):
    spool = Spool(tmp_path)
    use(settings, spool, ["default", "other"])
    return spool


def use(settings, spool, queues):
    places = dict.fromkeys(("default", "other"), spool.directory)
    settings.TASKS = {
        "default": {
            "BACKEND": "django_spooler.backend.SpoolerBackend",
            "QUEUES": queues,
            "OPTIONS": {"SPOOLERS": places, "OUTSIDE_UWSGI": "spool"},
        }
    }


def claim(spool, queue="default", noted=""):
    """Claim the one file that is ready, for a process called "me"."""
    (path,) = Path(spool.path("ready")).rglob("uwsgi_*")
    name, place = path.name + noted, Place.of(queue, 0)
    running = Path(spool.path("running", "me"))
    running.mkdir(parents=True, exist_ok=True)
    claimed = running / claimed_name(place, name)
    os.rename(path, claimed)
    return Claimed(str(claimed), name, place)


def consume(spool, claimed):
    Consumer(spool, "me", io.BytesIO(), Counts(spool, "me")).consume(claimed)


@pytest.fixture
def heard():
    """Return what is announced, in its order."""
    heard = []
    names = {task_finished: "finished", task_failed: "failed", task_retried: "retried"}

    def note(signal, **kwargs):
        heard.append(names[signal])

    for signal in names:
        signal.connect(note)
    yield heard
    for signal in names:
        signal.disconnect(note)


def test_failure_of_a_task_that_raised_is_announced_behind_its_end(spool, heard):
    tasks.fail_for_good.enqueue()
    consume(spool, claim(spool))
    assert heard == ["finished", "failed"]


def test_failure_of_a_task_that_killed_its_process_is_announced_behind_its_end(spool, heard):
    tasks.add.enqueue(1)
    claim(spool, noted=";a=2")
    Recovery(spool).recover("me", "signal 9")
    assert heard == ["finished", "failed"]


def test_try_that_killed_its_process_and_will_be_repeated_is_announced(spool, heard):
    tasks.add.enqueue(1)
    claim(spool)
    Recovery(spool).recover("me", "signal 9")
    assert heard == ["retried"]


def test_task_whose_queue_was_taken_out_of_the_settings_runs(settings, spool):
    tasks.add.using(queue_name="other").enqueue(5)
    use(settings, spool, ["default"])
    tasks.calls.clear()
    consume(spool, claim(spool, "other"))
    assert tasks.calls == [(5, 0)]


def test_child_that_a_task_forked_and_let_return_tells_nobody_of_an_end(spool, tmp_path):
    told = tmp_path / "told"

    def note(**kwargs):
        with told.open("a") as file:
            print(os.getpid(), file=file)

    task_finished.connect(note)
    try:
        tasks.fork_and_return.enqueue()
        consume(spool, claim(spool))
    finally:
        task_finished.disconnect(note)
    assert told.read_text().split() == [str(os.getpid())]
