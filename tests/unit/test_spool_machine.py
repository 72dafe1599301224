"""The spool layer against a model, by any sequence of what its users and fate do to it.

Hypothesis enqueues, claims, settles, kills, recovers, retries, discards, pauses and sets the clock. In
the model a task is in one state. After each step the directory must say the same: every task that was
accepted and not done stands there exactly once and whole, and nothing unfinished is left.
"""

import os
import shutil
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from django_spooler.processes.recovery import Recovery
from django_spooler.spool.directory import ALL_QUEUES, Spool
from django_spooler.spool.place import Place
from django_spooler.spool.process import RUNNER, HeldCard, new_card
from django_spooler.spool.queue import ReadyQueue
from django_spooler.spool.schedule import Schedule
from django_spooler.spool.watch import Watcher, new_watcher

QUEUES = ["default", "mail"]
HOUR = 3600
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
WATCHER = new_watcher()  # one for all: the kernel takes its time to end one
READY, SCHEDULED, CLAIMED, LOST, FAILED = "ready", "scheduled", "claimed", "lost", "failed"
"""The model's states; LOST is claimed by a process that died."""

DIRECTORY_OF = {CLAIMED: "running", LOST: "running"}


@dataclass
class Task:
    """What the model knows of one task."""

    number: int
    place: Place
    state: str
    ready_at: int = 0
    """Microseconds; of a scheduled one, when it is due."""
    claimed: object = None

    @property
    def name(self) -> str:
        return f"task {self.number}"

    @property
    def order(self) -> tuple[int, int, int]:
        return self.place.level, self.ready_at, self.number


@dataclass
class Clock:
    """A time of day that only moves when it is told to."""

    microseconds: int = 1_764_000_000_000_000

    def time(self) -> float:
        return self.microseconds / 1_000_000

    def time_ns(self) -> int:
        return self.microseconds * 1000


@dataclass
class Process:
    """One living process that claims tasks, here in the test's own."""

    spool: Spool
    watcher: Watcher = WATCHER
    card: HeldCard = field(init=False)

    def __post_init__(self) -> None:
        self.card = HeldCard(self.spool, new_card(RUNNER, "work", "this start"))
        self.queue = ReadyQueue(self.spool, self.watcher, self.card.running)
        self.schedule = Schedule(self.spool, self.watcher)

    def make_due_ready(self) -> None:
        """Do what a runner does before its claims, until nothing changes by it."""
        changed, more = self.watcher.changed(), True
        while changed or more:
            self.schedule.note_changes(changed)
            self.queue.note_changes(changed)
            more = self.schedule.make_due_ready()
            changed = self.watcher.changed()


class SpoolMachine(RuleBasedStateMachine):
    """Rules and invariants; see the module."""

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="spool-", dir=MEMORY)
        self.spool = Spool(self.directory)
        self.spool.prepare()
        self.clock = Clock()
        self.patches = [
            mock.patch("time.time", self.clock.time),
            mock.patch("time.time_ns", self.clock.time_ns),
        ]
        for patch in self.patches:
            patch.start()
        self.process = Process(self.spool)
        self.tasks: list[Task] = []
        self.accepted = 0
        self.paused: set[str] = set()

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        self.process.card.leave()
        shutil.rmtree(self.directory)

    def of(self, *states: str) -> list[Task]:
        return [task for task in self.tasks if task.state in states]

    def claimable(self) -> list[Task]:
        """Return the ready tasks of queues that are not paused, in the order they are to run."""
        if ALL_QUEUES in self.paused:
            return []
        ready = [task for task in self.of(READY) if task.place.queue not in self.paused]
        return sorted(ready, key=lambda task: task.order)

    def become_due(self) -> None:
        for task in self.of(SCHEDULED):
            if task.ready_at <= self.clock.microseconds:
                task.state = READY

    # Putting in

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([-1, 0, 0, 5]),
        delay=st.sampled_from([None, None, 1, 61, HOUR]),
        fsync=st.booleans(),
    )
    def enqueue(self, queue, priority, delay, fsync):
        self.clock.microseconds += 1
        self.accepted += 1
        place = Place.of(queue, priority)
        due = None if delay is None else self.clock.time() + delay
        task = Task(self.accepted, place, READY, self.clock.microseconds)
        if due is not None:
            task.state, task.ready_at = SCHEDULED, int(due * 1_000_000)
        self.spool.publish(task.name.encode(), place, due=due, fsync=fsync)
        self.tasks.append(task)

    # Taking out

    @rule()
    def claim(self):
        self.process.make_due_ready()
        self.become_due()
        claimed = self.process.queue.claim()
        expected = self.claimable()
        if not expected:
            assert claimed is None
            return
        assert claimed is not None, f"{expected[0].name} is ready"
        task = self.task_at(claimed.path)
        assert task in expected
        assert task.place.level == expected[0].place.level, "a higher priority waits"
        task.state, task.claimed = CLAIMED, claimed

    @rule()
    def claim_everything_with_a_new_process(self):
        self.become_due()
        self.process.make_due_ready()
        process = Process(self.spool)
        taken = []
        while claimed := process.queue.claim():
            taken.append(self.task_at(claimed.path))
        assert taken == self.claimable()
        for task in taken:
            os.unlink(self.path_of(task))
            self.tasks.remove(task)
        process.card.leave()

    @precondition(lambda self: self.of(CLAIMED))
    @rule(data=st.data(), outcome=st.sampled_from(["done", "again", "failed"]))
    def settle(self, data, outcome):
        task = data.draw(st.sampled_from(self.of(CLAIMED)))
        claimed = task.claimed
        if outcome == "done":
            os.unlink(claimed.path)
            self.tasks.remove(task)
        elif outcome == "again":
            due = self.clock.time() + 2
            self.spool.schedule(claimed.path, claimed.task_name, claimed.place, due)
            task.state, task.ready_at = SCHEDULED, int(due * 1_000_000)
        else:
            self.spool.set_aside(
                claimed.path,
                "failed as told",
                identifier=f"id{task.number}",
                place=claimed.place,
                name=claimed.name,
            )
            task.state = FAILED

    # Dying

    @rule(kill=st.sampled_from([signal.SIGKILL, None]))
    def process_claims_and_dies(self, kill):
        self.become_due()
        self.process.make_due_ready()
        pid = os.fork()
        if pid == 0:
            process = Process(self.spool, new_watcher())
            process.queue.claim()
            os.kill(os.getpid(), kill) if kill else os._exit(1)
        os.waitpid(pid, 0)
        if expected := self.claimable():
            expected[0].state = LOST
            assert self.task_at(self.path_of(expected[0])) is expected[0]

    @rule()
    def recover(self):
        Recovery(self.spool).sweep()
        for task in self.of(LOST):
            task.state = READY
        mine = {self.process.card.card.name}
        assert set(os.listdir(self.spool.path("running"))) == mine
        assert set(os.listdir(self.spool.path("processes"))) == mine

    # Operating

    @precondition(lambda self: self.of(FAILED))
    @rule(data=st.data())
    def retry(self, data):
        self.clock.microseconds += 1
        task = data.draw(st.sampled_from(self.of(FAILED)))
        assert self.spool.retry(f"id{task.number}")
        task.state, task.ready_at = READY, self.clock.microseconds
        assert not self.spool.retry(f"id{task.number}")

    @precondition(lambda self: self.of(FAILED))
    @rule(data=st.data())
    def discard(self, data):
        task = data.draw(st.sampled_from(self.of(FAILED)))
        assert self.spool.discard(f"id{task.number}")
        self.tasks.remove(task)

    @rule(queue=st.sampled_from([None, *QUEUES]))
    def pause(self, queue):
        self.spool.pause(queue)
        self.paused.add(queue or ALL_QUEUES)

    @rule(queue=st.sampled_from([None, *QUEUES]))
    def resume(self, queue):
        self.spool.resume(queue)
        self.paused = set() if queue is None else self.paused - {queue}

    @rule(seconds=st.sampled_from([1, 3, 60, HOUR, -1, -60, -HOUR]))
    def set_clock(self, seconds):
        self.clock.microseconds += seconds * 1_000_000

    # What always holds

    def files(self) -> list[Path]:
        tree = Path(self.spool.tree)
        states = ("ready", "scheduled", "running", "failed")
        found = [path for state in states for path in (tree / state).rglob("*") if path.is_file()]
        return [path for path in found if path.name != ";why"]

    def task_at(self, path: str) -> Task:
        name = Path(path).read_text()
        (task,) = [task for task in self.tasks if task.name == name]
        return task

    def path_of(self, task: Task) -> Path:
        (path,) = [path for path in self.files() if path.read_text() == task.name]
        return path

    @invariant()
    def directory_and_model_agree(self):
        tree = Path(self.spool.tree)
        found = Counter(
            (path.read_text(), path.relative_to(tree).parts[0]) for path in self.files()
        )
        expected = Counter((t.name, DIRECTORY_OF.get(t.state, t.state)) for t in self.tasks)
        assert found == expected

    @invariant()
    def nothing_unfinished_is_left(self):
        assert os.listdir(self.spool.path("tmp")) == []
        assert self.spool.paused() == self.paused


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")(TestSpoolMachine)
