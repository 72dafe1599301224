"""The queue in figures and names, as the page shows it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.utils import timezone

from django_spooler import overview
from django_spooler.backends import served_directories
from django_spooler.cron.overview import JobState, job_states
from django_spooler.spool.directory import Spool

SHOWN = 10
EXPLANATIONS = {
    "ready": "Waits for the next free process, higher priority first.",
    "scheduled": "Waits for its time.",
    "failed": "Has used up its tries, and is kept with its traceback.",
}


@dataclass(frozen=True)
class Row:
    """One task of a list."""

    id: str
    name: str
    arguments: str
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """The tasks of one state; only the first few are listed."""

    state: str
    explanation: str
    rows: list[Row]
    more: int


@dataclass(frozen=True)
class Worker:
    """A process that runs tasks, and the name of what it runs now."""

    pid: int
    task: str


@dataclass(frozen=True)
class Board:
    """What the page shows."""

    figures: dict[str, int]
    workers: list[Worker]
    sections: list[Section]
    jobs: list[JobState]


def board() -> Board:
    """Return the state of all spool directories of this site, and of its periodic jobs."""
    statuses = _statuses()
    counts = _figures(statuses)
    workers = [
        Worker(process.pid, _short(process.task or ""))
        for status in statuses
        for process in status.processes
    ]
    workers.sort(key=lambda worker: worker.pid)
    sections = [_section(state, counts[state]) for state in EXPLANATIONS]
    return Board(counts, workers, sections, job_states())


def figures() -> dict[str, int]:
    """Return how many tasks there are of each state."""
    return _figures(_statuses())


def _statuses() -> list[overview.Status]:
    return [
        overview.status(Spool(directory), queues)
        for directory, queues in served_directories().items()
    ]


def _figures(statuses: list[overview.Status]) -> dict[str, int]:
    return {
        state: sum(getattr(status, state) for status in statuses)
        for state in ("running", *EXPLANATIONS)
    }


def _section(state: str, count: int) -> Section:
    rows = [_row(entry) for entry in islice(_entries(state), SHOWN)]
    return Section(state, EXPLANATIONS[state], rows, max(0, count - len(rows)))


def _entries(state: str) -> Iterator[overview.Entry]:
    for directory in served_directories():
        yield from overview.entries(Spool(directory), state)


def _row(entry: overview.Entry) -> Row:
    return Row(
        id=entry.id,
        name=_short(entry.task or "unknown"),
        arguments=", ".join(map(repr, entry.args or [])),
        notes=list(_notes(entry)),
    )


def _short(task: str) -> str:
    """Return a task's name without its module."""
    return task.rpartition(".")[2]


def _notes(entry: overview.Entry) -> Iterator[str]:
    if entry.reason:
        yield entry.reason
    if entry.state == "scheduled" and entry.attempt:
        yield f"try {entry.attempt} failed, waits for the next"
    elif entry.state == "scheduled" and entry.run_after:
        seconds = (entry.run_after - timezone.now()).total_seconds()
        yield f"in {max(0, seconds):.0f} s"
    if entry.priority:
        yield f"priority {entry.priority}"
    if entry.queue not in (None, "default"):
        yield f"queue {entry.queue}"
