"""What becomes of the tasks of dead processes, and which death is the task's fault."""

import json
import os
import resource
import time
from pathlib import Path

import pytest

from django_spooler import message
from django_spooler.envelope import read
from django_spooler.processes.recovery import MAX_CUTS, Recovery
from django_spooler.spool.directory import Spool
from django_spooler.spool.files import names_in
from django_spooler.spool.names import TaskName
from django_spooler.spool.packet import encode
from django_spooler.spool.place import Place, claimed_name
from django_spooler.spool.process import RUNNER, SUPERVISOR, HeldCard, new_card

from .tasks_for_tests import add

PLACE = Place.of("default", 0)


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    spool.prepare()
    return spool


def enqueue(spool: Spool) -> None:
    """Put one task into the spool."""
    call = message.Message(
        id="a1",
        task=add.module_path,
        args=[1, 2],
        kwargs={},
        queue="default",
        priority=0,
        backend="default",
        enqueued_at=1.0,
    )
    spool.publish(encode({}, message.encode(call, signed=False)), PLACE)


def waiting(spool: Spool) -> list[str]:
    """Return the paths of the files that are ready or scheduled."""
    return [
        str(path)
        for state in ("ready", "scheduled")
        for path in Path(spool.path(state)).rglob("*")
        if path.is_file()
    ]


def claim_and_die(spool: Spool, number: int, last_words: str = "") -> None:
    """Leave what a runner leaves that had claimed the one task, of a server that is gone too."""
    name = f"runner-{number}"
    card = {
        "name": name,
        "role": RUNNER,
        "kind": "uwsgi",
        "pid": 1,
        "host": "web1",
        "generation": f"generation {number}",
        "supervisor": "gone",
        "since": 1.0,
    }
    Path(spool.path("processes", name)).write_text(json.dumps(card))
    Path(spool.path("tmp", f"words-{name}")).write_text(last_words)
    os.makedirs(spool.path("running", name))
    (path,) = waiting(spool)
    os.rename(path, spool.path("running", name, claimed_name(PLACE, os.path.basename(path))))


def state_of(spool: Spool) -> TaskName:
    """Return the name of the one task that waits."""
    (path,) = waiting(spool)
    return TaskName.parse(os.path.basename(path))


def attempts_of(spool: Spool) -> list[message.Attempt]:
    """Return the attempts that the file of the one task tells of."""
    (path,) = waiting(spool)
    return read(path, signed=False)[1]


def test_death_of_a_whole_server_uses_up_no_attempt_but_is_counted(spool):
    enqueue(spool)
    claim_and_die(spool, 1)
    Recovery(spool).sweep()
    assert (state_of(spool).attempts, state_of(spool).cuts) == (0, 1)


def test_task_whose_server_dies_each_time_ends_in_failed(spool):
    """A container that a task gets killed for want of memory started it again for ever."""
    enqueue(spool)
    for number in range(MAX_CUTS + 3):
        claim_and_die(spool, number)
        Recovery(spool).sweep()
    assert not waiting(spool)
    (failed,) = spool.failed()
    assert "its server died 21 times while it ran" in failed[2].reason


LEAVING = "It was told to leave.\n"
GRACE = f"{LEAVING}What follows is the end of its grace.\n"
TIMEOUT = "Timeout (0:00:01)!\nFile x.py"
FAULT = "Fatal Python error: Segmentation fault\nFile x.py"


@pytest.mark.parametrize("words", [LEAVING, GRACE, GRACE + TIMEOUT])
def test_announced_end_is_not_even_counted(spool, words):
    enqueue(spool)
    for number in range(MAX_CUTS + 3):
        claim_and_die(spool, number, words)
        Recovery(spool).sweep()
    assert (state_of(spool).attempts, state_of(spool).cuts) == (0, 0)


@pytest.mark.parametrize(
    ("words", "death"),
    [
        (TIMEOUT, "timeout"),
        (LEAVING + TIMEOUT, "timeout"),
        (FAULT, "signal 11"),
        (GRACE + FAULT, "signal 11"),
    ],
)
def test_stack_in_the_last_words_is_the_tasks_fault_and_kept(spool, words, death):
    enqueue(spool)
    claim_and_die(spool, 1, words)
    Recovery(spool).sweep()
    assert state_of(spool).attempts == 1
    (attempt,) = attempts_of(spool)
    assert attempt.error == f"TaskKilled: killed the process ({death})"
    assert "File x.py" in attempt.traceback


@pytest.mark.parametrize(
    ("words", "death"), [("", "signal 9"), (LEAVING, "signal 9 or an exit of its own")]
)
def test_death_beside_its_supervisor_while_the_server_lives_is_an_attempt(spool, words, death):
    enqueue(spool)
    another = HeldCard(spool, new_card(SUPERVISOR, "uwsgi", "generation 1"))
    claim_and_die(spool, 1, words)
    Recovery(spool).sweep()
    another.leave()
    assert state_of(spool).attempts == 1
    (attempt,) = attempts_of(spool)
    assert attempt.error == f"TaskKilled: killed the process ({death})"


def test_nothing_of_the_dead_is_left(spool):
    enqueue(spool)
    claim_and_die(spool, 1)
    Recovery(spool).sweep()
    for state in ("processes", "running", "tmp"):
        assert names_in(spool.path(state)) == []


def test_card_of_a_process_that_died_as_it_wrote_it_is_removed(spool):
    """Runner and supervisor, killed in that moment, left it in ``tmp`` for an hour."""
    unfinished = Path(spool.path("tmp", "card-web1-0123456789ab"))
    for age, is_left in ((0, True), (60, False)):
        unfinished.write_text("{")
        os.utime(unfinished, (time.time() - age, time.time() - age))
        Recovery(spool).sweep()
        assert unfinished.exists() == is_left


@pytest.fixture
def little_memory():
    """Leave this process some 300 MB more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + (300 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_file_that_no_process_can_read_ends_in_failed_and_kills_no_supervisor(spool, little_memory):
    """A list of empty lists takes twenty times as much memory as it is long."""
    spool.publish(encode({}, b'{"v":1,"args":[' + b"[]," * 8_000_000 + b"[]]}\n"), PLACE)
    for number in range(3):
        claim_and_die(spool, number, last_words=FAULT)
        Recovery(spool).sweep()
    assert not waiting(spool)
    (failed,) = spool.failed()
    assert "killed the process (signal 11)" in failed[2].reason


def test_process_that_dies_between_two_tasks_uses_up_an_attempt_of_neither(spool):
    enqueue(spool)
    claim_and_die(spool, 1)
    enqueue(spool)
    (path,) = waiting(spool)
    name = claimed_name(PLACE, os.path.basename(path))
    os.rename(path, spool.path("running", "runner-1", name))
    Recovery(spool).recover("runner-1", "signal 9")
    states = [TaskName.parse(os.path.basename(path)) for path in waiting(spool)]
    assert [(state.attempts, state.cuts, state.started) for state in states] == [(0, 1, False)] * 2
