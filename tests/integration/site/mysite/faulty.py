"""Spool verbs with a fault at their n-th file call; see ``test_faults.py`` for the model.

Everything here runs in a process that ``preload/faults.c`` was loaded into.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from django.utils import timezone
from django.utils.module_loading import import_string
from shop.tasks import ordered

from django_spooler import bulk_enqueue, message, operations
from django_spooler.backends import served_directories
from django_spooler.calls import find_call
from django_spooler.conf import Options
from django_spooler.consumer import adopt
from django_spooler.envelope import read
from django_spooler.exceptions import DamagedTask, SpoolUnavailable
from django_spooler.executors import Submission
from django_spooler.executors.file import FileExecutor
from django_spooler.housekeeping import tidy
from django_spooler.perform import Again, Done, Failed, Repeat, as_task_error
from django_spooler.processes.recovery import Recovery, claimed_by
from django_spooler.result import new_result
from django_spooler.settle import settle
from django_spooler.spool.directory import Spool
from django_spooler.spool.files import names_in
from django_spooler.spool.listing import TaskFile, files
from django_spooler.spool.packet import MARK, encode
from django_spooler.spool.place import Place, claimed_name
from django_spooler.spool.process import RUNNER, HeldCard, new_card
from django_spooler.spool.queue import Claimed, ReadyQueue
from django_spooler.spool.scanned import ScannedDirectory, hang_bells, is_bell, is_guard
from django_spooler.spool.schedule import Schedule
from django_spooler.spool.watch import new_watcher

DEATH = -1
FAULTS = {
    "death": DEATH,
    **{name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EACCES", "EMFILE")},
}
HOUR = 3600.0
HALF = "half"


class Shim:
    """The preloaded library's controls."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_trace.restype = ctypes.c_char_p

    def arm(self, directory: str, number: int = 0, fault: int = 0, for_good: bool = False) -> None:
        """Let the n-th call below the directory fail; with 0 only note the calls."""
        self._library.faults_arm(os.fsencode(directory), ctypes.c_long(number), fault, for_good)

    def disarm(self) -> int:
        """Let nothing fail any more; return how many calls there were."""
        return int(self._library.faults_disarm())

    def trace(self) -> list[list[str]]:
        """Return the calls noted: name, path and, of a rename, the new path."""
        lines = self._library.faults_trace().decode().splitlines()
        return [line.split("\t") for line in lines]


shim = Shim()
watcher = new_watcher()  # one for all: the kernel takes its time to end one


class World:
    """A spool directory of its own, and the tasks it has accepted."""

    def __init__(self, directory: str) -> None:
        self.spool = Spool(directory)
        self.spool.prepare()
        self.accepted: set[str] = set()
        self.over: set[str] = set()
        """Ids whose task may be done, and then is gone."""
        self.half = b"?"
        """What HALF stands for: the content of a damaged file, to be kept to the byte."""
        self.schedule: Schedule | None = None
        self.card = HeldCard(self.spool, new_card(RUNNER, "work", "this one"))
        self.queue = ReadyQueue(self.spool, watcher, self.card.running)
        self._numbers = itertools.count(1)

    def message(self, task: str = "shop.tasks.ordered", **fields: Any) -> message.Message:
        """Return a call that waits to be accepted; its argument is its id."""
        identifier = f"task{next(self._numbers)}"
        return message.Message(
            id=identifier,
            task=task,
            args=fields.pop("args", [identifier]),
            kwargs={},
            queue="default",
            priority=fields.pop("priority", 0),
            backend="default",
            enqueued_at=time.time(),
            **fields,
        )

    def put(self, task: str = "shop.tasks.ordered", due: float | None = None, **fields: Any) -> str:
        """Accept a task; return its id."""
        call = self.message(task, **fields)
        place = Place.of(call.queue, call.priority)
        self.spool.publish(encode(MARK, message.encode(call, signed=False)), place, due=due)
        self.accepted.add(call.id)
        return call.id

    def claim(self) -> Claimed:
        """Claim the next task."""
        claimed = self.queue.claim()
        assert claimed
        return claimed

    def set_aside(self) -> str:
        """Accept a task and set it aside; return its id."""
        identifier, claimed = self.put(), self.claim()
        self.spool.set_aside(
            claimed.path, "because", identifier=identifier, place=claimed.place, name=claimed.name
        )
        return identifier

    def found(self) -> Counter[str]:
        """Return how often each task stands in the directory. Each file must be whole."""
        return Counter(
            HALF if Path(path).read_bytes() == self.half else self._identify(path)
            for path in self.files()
        )

    def _identify(self, path: str) -> str:
        """Return the id of the task; where it waits, its message tells of that place."""
        message, _ = read(path, signed=False)
        if path.startswith(self.spool.path("ready")):
            assert Place.of(message.queue, message.priority).ready in path
        return message.id

    def files(self) -> Iterator[str]:
        """Yield every file that is or claims to be a task."""
        aside = [self.spool.path(state) for state in ("tmp", "processes", "paused")]
        for directory, names, found in os.walk(self.spool.directory):
            names[:] = [name for name in names if os.path.join(directory, name) not in aside]
            yield from (
                os.path.join(directory, name)
                for name in found
                if name != ";why" and not is_bell(name) and not is_guard(name)
            )

    def check(self) -> None:
        """Assert that every accepted task stands there whole, exactly once."""
        found = self.found()
        missing = self.accepted - self.over - set(found)
        assert not missing, f"lost {missing}"
        assert max(found.values(), default=1) == 1, f"doubled: {found}"
        assert not set(found) - self.accepted, f"refused, and there: {set(found) - self.accepted}"

    def get_over_trouble(self) -> None:
        """Do what a runner does after an error."""
        for claimed in claimed_by(self.spool, self.card.card.name):
            self.spool.make_ready(claimed.path, claimed.task_name, claimed.place)
        self.queue.relist()
        if self.schedule:
            self.schedule.relist()


# What is tried: each function prepares a world and returns what is to meet the fault.

Act = Callable[[], Any]
VERBS: dict[str, Callable[[World], Act]] = {}


def verb(function: Callable[[World], Act]) -> Callable[[World], Act]:
    """Add a verb to those that are tried."""
    VERBS[function.__name__] = function
    return function


def _enqueue(world: World, *, fsync: bool = False, **fields: Any) -> Act:
    def act() -> None:
        call = world.message(**fields)
        task = import_string(call.task)
        submission = Submission(
            task, call, new_result(task, call), Options(FSYNC=fsync), signed=False
        )
        try:
            FileExecutor(world.spool.directory).put(submission)
            world.accepted.add(call.id)
        except OSError as error:
            raise AssertionError("refused by an error that is not ours") from error

    return act


@verb
def enqueue(world: World) -> Act:
    return _enqueue(world)


@verb
def enqueue_into_nothing(world: World) -> Act:
    shutil.rmtree(world.spool.directory)
    return _enqueue(world)


@verb
def enqueue_for_later(world: World) -> Act:
    return _enqueue(world, run_after=time.time() + HOUR)


@verb
def enqueue_with_fsync(world: World) -> Act:
    return _enqueue(world, fsync=True)


@verb
def enqueue_many_with_fsync(world: World) -> Act:
    calls = [world.message(run_after=after) for after in (None, time.time() + HOUR, None)]

    def act() -> None:
        submissions = []
        for call in calls:
            task = import_string(call.task)
            submissions.append(
                Submission(task, call, new_result(task, call), Options(FSYNC=True), signed=False)
            )
        for submission in FileExecutor(world.spool.directory).put_all(submissions):
            world.accepted.add(submission.message.id)

    return act


@verb
def claim(world: World) -> Act:
    expected, order = [world.put(priority=priority) for priority in (9, 5, 5, -5)], []
    world.over.update(expected)

    def act() -> None:
        while claimed := world.queue.claim():
            try:
                identifier = read(claimed.path, signed=False)[0].id
            except DamagedTask:  # what may not be read
                world.spool.set_aside(claimed.path, "as a runner does", place=claimed.place)
            else:
                os.unlink(claimed.path)
                order.append(identifier)
        shim.disarm()
        # One that "may not" be claimed is set aside, as a file without rights is.
        assert order == [identifier for identifier in expected if identifier in order]

    return act


def _settle(world: World, outcome: Any) -> Act:
    identifier, claimed = world.put(), world.claim()
    world.put()
    call = find_call(*read(claimed.path, signed=False))
    trial = call.trial(0, "me", time.time())
    if error := getattr(outcome, "error", None):
        trial.result.errors.append(as_task_error(error))

    def act() -> None:
        settle(world.spool, claimed, trial, outcome)
        shim.disarm()
        assert not os.listdir(world.card.running), "not settled"
        stands = world.found()[identifier]
        assert stands == (0 if isinstance(outcome, Done) else 1)

    if isinstance(outcome, Done):
        world.over.add(identifier)
    return act


@verb
def settle_done(world: World) -> Act:
    return _settle(world, Done())


@verb
def settle_again(world: World) -> Act:
    return _settle(world, Again(RuntimeError("not yet"), 60.0))


@verb
def settle_repeat(world: World) -> Act:
    return _settle(world, Repeat(60.0))


@verb
def settle_failed(world: World) -> Act:
    return _settle(world, Failed(RuntimeError("no"), "RuntimeError: no"))


@verb
def become_due(world: World) -> Act:
    expected = [world.put(due=time.time() - 60 + second) for second in range(3)]
    world.schedule = Schedule(world.spool, watcher)
    world.over.update(expected)

    def act() -> None:
        world.schedule.make_due_ready()
        shim.disarm()
        order = claim_all()
        # What "may not" be listed is found by the next listing, or is set aside.
        world.get_over_trouble()
        world.schedule.make_due_ready()
        aside = [path for path in world.files() if path.startswith(world.spool.path("failed"))]
        refused = {read(path, signed=False)[0].id for path in aside}
        assert order == [name for name in expected if name in order]
        assert {*order, *claim_all(), *refused} == set(expected)

    def claim_all() -> list[str]:
        order = []
        while claimed := world.queue.claim():
            order.append(read(claimed.path, signed=False)[0].id)
            os.unlink(claimed.path)
        return order

    return act


@verb
def set_aside(world: World) -> Act:
    world.put()
    (path,) = world.files()
    return lambda: world.spool.set_aside(path, "because")


@verb
def retry(world: World) -> Act:
    identifier = world.set_aside()
    return lambda: world.spool.retry(identifier)


@verb
def discard(world: World) -> Act:
    identifier = world.set_aside()
    world.over.add(identifier)
    return lambda: world.spool.discard(identifier)


def _rewriting(world: World, change: Callable[[Spool, TaskFile], bool], **given: Any) -> Act:
    """Change a waiting task; where that was interrupted, do as its reason says: put it back."""
    identifier = world.put(**given)
    (file,) = (file for state in ("ready", "scheduled") for file in files(world.spool, state))
    aside = TaskFile("failed", world.spool.path("failed", identifier), identifier, None)
    return lambda: change(world.spool, file) or operations.retry(world.spool, aside)


@verb
def prioritize(world: World) -> Act:
    return _rewriting(world, partial(operations.prioritize, priority=9))


@verb
def prioritize_what_is_scheduled(world: World) -> Act:
    due = time.time() + HOUR
    return _rewriting(world, partial(operations.prioritize, priority=9), due=due, run_after=due)


@verb
def run_now(world: World) -> Act:
    due = time.time() + HOUR
    return _rewriting(world, operations.run_now, due=due, run_after=due)


@verb
def clean_scanned_directory(world: World) -> Act:
    """One of ours that came through a socket, and half of one."""
    call = world.message()
    whole = encode({**MARK, b"message": message.encode(call, signed=False)})
    world.half = whole[: len(whole) // 2]
    world.accepted |= {call.id, HALF}
    for name, content in (("whole", whole), ("half", world.half)):
        Path(world.spool.directory, f"uwsgi_spoolfile_on_{name}").write_bytes(content)
    scanned = ScannedDirectory(
        world.spool, lambda variables: None, lambda path: adopt(world.spool, path), ordered=True
    )

    return scanned.sweep


@verb
def begin_and_leave(world: World) -> Act:
    world.put()

    def act() -> None:
        hang_bells(world.spool, 2)
        HeldCard(world.spool, new_card(RUNNER, "work", "this one")).leave()
        tidy(world.spool, max_age=1.0, max_count=1)

    return act


def _recovery(world: World, death: str | None, attempts: int = 0) -> Act:
    """A process died while it ran a task; a free lock on its card tells so."""
    world.put()
    world.put()
    claimed, name = world.claim(), "dead"
    os.mkdir(world.spool.path("running", name))
    Path(world.spool.path("processes", name)).touch()
    used_up = replace(claimed.task_name, attempts=attempts)
    target = claimed_name(claimed.place, str(used_up))
    os.rename(claimed.path, world.spool.path("running", name, target))
    recovery = Recovery(world.spool)

    def act() -> None:
        recovery.recover(name, death)
        shim.disarm()
        left = names_in(world.spool.path("running", name))
        assert not left or os.path.exists(world.spool.path("processes", name)), (
            "forgotten too early"
        )

    return act


@verb
def put_back_what_a_deploy_cut(world: World) -> Act:
    return _recovery(world, None)


@verb
def put_back_what_killed_its_process(world: World) -> Act:
    return _recovery(world, "signal 9")


@verb
def give_up_what_kills_its_process(world: World) -> Act:
    return _recovery(world, "signal 9", attempts=2)


# The sweeps


@contextlib.contextmanager
def _world() -> Iterator[World]:
    directory = tempfile.mkdtemp(prefix="faulty-", dir="/dev/shm")
    world = World(directory)
    try:
        yield world
    finally:
        shim.disarm()
        shutil.rmtree(directory, ignore_errors=True)


def sweep(name: str, fault: str, for_good: bool = False) -> int:
    """Let the 1st, 2nd, 3rd... call of a verb fail until one meets no fault; return their number."""
    for number in itertools.count(1):
        with _world() as world:
            act = VERBS[name](world)
            try:
                if fault == "death":
                    calls = _die_in(world, act, number)
                else:
                    calls = _fail_in(world, act, number, FAULTS[fault], for_good)
            except BaseException as error:
                calls = shim.trace()[number - 1 :]
                raise AssertionError(f"call {number}, {calls[:1]}: {error!r}") from error
            if calls < number:
                return calls
    raise AssertionError


def _fail_in(world: World, act: Act, number: int, fault: int, for_good: bool) -> int:
    """Act with a fault, and again when its cause is gone; return how many calls there were."""
    shim.arm(world.spool.directory, number, fault, for_good)
    calls: list[int] = []

    def wait(seconds: float) -> None:  # only settling does: the cause goes at the third time
        waits = next(counter)
        if waits == 3:
            calls.append(shim.disarm())

    counter = itertools.count(1)
    with mock.patch("django_spooler.consumer.time.sleep", wait):
        try:
            act()
        except (OSError, SpoolUnavailable):
            calls.append(shim.disarm())
            world.check()
            world.get_over_trouble()
            act()
    calls.append(shim.disarm())
    world.check()
    if not for_good:  # else there was no way to clean up
        assert not os.listdir(world.spool.path("tmp")), "left behind in tmp"
    return calls[0]


def _die_in(world: World, act: Act, number: int) -> int:
    """Act in a child that dies at a call; return how many calls it made."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            shim.arm(world.spool.directory, number, DEATH)
            act()
            status = 0
            os.write(writer, "\n".join(world.accepted).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    with open(reader, "rb") as told:
        accepted = set(told.read().decode().split())
    ended = os.waitstatus_to_exitcode(status)
    assert ended in (0, -signal.SIGKILL), "an error of its own"
    if ended:
        # What the dead one was putting in may be there, whole, or not.
        world.accepted.update(world.found())
    world.accepted.update(accepted)
    world.check()
    return number if ended else number - 1


# Enqueueing in whatever process this is: in uWSGI the calls of its C code count too.


def enqueue_under(
    fault: str, number: int, for_good: bool = False, using: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Enqueue with a fault at a call; tell the id or the refusal, and how many calls there were."""
    directory = next(iter(served_directories()))
    task = ordered.using(**_later(using or {}))
    shim.arm(directory, number, FAULTS[fault], for_good)
    try:
        accepted, refusal = task.enqueue(number).id, ""
    except SpoolUnavailable as error:
        accepted, refusal = None, str(error)
    finally:
        calls = shim.disarm()
    return {"accepted": accepted, "refusal": refusal, "calls": calls}


def waiting() -> list[str]:
    """Return the id of every task that waits; each of their files must be whole."""
    tree = Path(next(iter(served_directories())), "django")
    files = [path for state in ("ready", "scheduled") for path in (tree / state).rglob("uwsgi_*")]
    return [read(str(path), signed=False)[0].id for path in files]


def trace_enqueue(using: dict[str, Any], directory: str) -> list[list[str]]:
    """Enqueue; return the calls that were made below a directory until it returned."""
    shim.arm(directory)
    ordered.using(**_later(using)).enqueue("traced")
    shim.disarm()
    return shim.trace()


def trace_bulk_enqueue(count: int, directory: str) -> list[list[str]]:
    """Enqueue many together; return the calls below a directory until the block has ended."""
    shim.arm(directory)
    with bulk_enqueue():
        for number in range(count):
            ordered.enqueue(f"traced {number}")
    shim.disarm()
    return shim.trace()


def trace_prioritize() -> list[list[str]]:
    """Give a waiting task of the site another priority; return the calls below its directory."""
    identifier = ordered.enqueue("x").id
    (directory,) = served_directories()
    ((_, spool, file),) = operations.find([Spool(directory)], [identifier])
    shim.arm(directory)
    assert operations.prioritize(spool, file, 33)
    shim.disarm()
    return shim.trace()


def _later(using: dict[str, Any]) -> dict[str, Any]:
    if "run_after" in using:
        using["run_after"] = timezone.now() + timedelta(seconds=using["run_after"])
    return using
