"""Which slots are due, and the one transaction in which a node decides on them.

Its first statement locks the jobs' rows, in the order of their names, so that no two nodes wait for
each other: on SQLite it takes the lock to write, so a transaction never has to change from reading to
writing, which SQLite refuses at once where others write. What is read after it is what no other node
can change, so each slot is decided on once. The unique rows of the history are the last guard.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from django.db import connections
from django.db.models import F, Max, Q, QuerySet, Subquery

from ..instants import EPOCH
from ..models import SCHEDULE_LENGTH, CronJob, CronRun
from .clock import DatabaseNow, now
from .decision import Decision, SlotDecision, next_start
from .jobs import Job, PeriodicJob
from .lease import ALIVE, Outcome, database, jobs, patiently, runs
from .plan import FRESH
from .schedule import latest
from .transactions import brief_transaction

if TYPE_CHECKING:
    from .decision import Row


@dataclass
class Claims:
    """What one transaction decided."""

    now: datetime
    """When, by the database's clock."""
    claimed: list[CronRun] = field(default_factory=list)
    """To be run by this node."""
    skipped: list[CronRun] = field(default_factory=list)
    missed: list[CronRun] = field(default_factory=list)
    died: list[CronRun] = field(default_factory=list)


def introduce(known: Sequence[PeriodicJob]) -> None:
    """Make jobs known to the database, and their schedules as the code has them now.

    A job that is seen for the first time begins with its next slot.
    """
    rows = {row.name: row for row in jobs().filter(name__in=[job.name for job in known])}
    missing = [job for job in known if job.name not in rows]
    if missing:
        patiently(partial(_insert, missing))
    for job in known:
        if job.name in rows and rows[job.name].schedule != words_of(job):
            patiently(partial(_reschedule, job))


def words_of(job: Job) -> str:
    """Return the schedule in words, as far as the database has room for them."""
    return job.in_words()[:SCHEDULE_LENGTH]


def _insert(missing: list[PeriodicJob]) -> None:
    moment = now(database())
    # Where a row was deleted, its history goes on.
    known = runs().filter(job__in=[job.name for job in missing])
    tokens = dict(known.values_list("job").annotate(last=Max("token")))
    jobs().bulk_create(
        [
            CronJob(
                name=job.name,
                schedule=words_of(job),
                slot=latest(job.schedule, moment),
                token=tokens.get(job.name, 0),
            )
            for job in missing
        ],
        ignore_conflicts=True,
    )


def _reschedule(job: PeriodicJob) -> None:
    """Let a changed schedule hold from now on; nothing is late for a time that it did not have.

    What has come due this minute is still decided on: while two versions of the code run beside each
    other, each node finds the other's schedule.
    """
    begin = latest(job.schedule, now(database()) - FRESH)
    row = jobs().filter(name=job.name)
    with brief_transaction():
        row.filter(Q(slot__lt=begin) | Q(slot=None)).update(slot=begin)
        row.update(schedule=words_of(job))


def set_paused(job: Job, paused: bool) -> bool:
    """Pause a job, or resume it from its next slot on; False if it was so already."""
    return patiently(lambda: _set_paused(job, paused))


def _set_paused(job: Job, paused: bool) -> bool:
    with brief_transaction():
        row = lock([job])[job.name]
        if row.paused == paused:
            return False
        slot = row.slot
        if isinstance(job, PeriodicJob) and not paused:
            slot = max(slot or EPOCH, latest(job.schedule, row.now))
        jobs().filter(name=job.name).update(paused=paused, slot=slot)
    return True


def candidates(known: Sequence[PeriodicJob]) -> tuple[datetime, list[PeriodicJob]]:
    """Return the time by the database's clock, and the jobs that somebody has to decide on now."""
    return patiently(lambda: _candidates(known))


def _candidates(known: Sequence[PeriodicJob]) -> tuple[datetime, list[PeriodicJob]]:
    moment = now(database())
    rows = {row.name: row for row in jobs().filter(name__in=[job.name for job in known])}
    waiting = to_look_at(moment) | to_begin(moment)
    found = []
    for job in known:
        row = rows.get(job.name)
        if row is None or not job.enabled:
            continue
        start = None if row.paused or row.slot is None else next_start(job, row.slot)
        if job.name in waiting or (start is not None and start <= moment):
            found.append(job)
    return moment, found


def look() -> tuple[datetime, datetime | None]:
    """Return the time by the database's clock, and when a run has to be looked at next."""
    first = runs().filter(expires__isnull=False).order_by("expires").values("expires")[:1]
    found = jobs().annotate(now=DatabaseNow(), first=Subquery(first)).values("now", "first")
    row = patiently(found.first)
    return (row["now"], row["first"]) if row else (now(database()), None)


def to_look_at(moment: datetime) -> set[str]:
    """Return the names of the jobs of which a run has to be looked at now, to whatever end."""
    found = runs().filter(expires__lte=moment).exclude(outcome=Outcome.CLAIMED)
    return set(found.values_list("job", flat=True))


def to_begin(moment: datetime, room: int | None = None) -> set[str]:
    """Return the names of the jobs of which a claimed run should have begun; of ``room`` runs at most."""
    found = runs().filter(expires__lte=moment, outcome=Outcome.CLAIMED).order_by("expires")
    return set(found.values_list("job", flat=True)[:room])


def claim(
    known: Sequence[PeriodicJob],
    *,
    until: datetime | None = None,
    begin: bool = False,
    room: int | None = None,
) -> Claims:
    """Decide on all slots of these jobs that are due, and claim those that are to be run.

    ``until`` leaves out later slots. With ``begin`` the claimed runs start at once, and of each job
    one at most is claimed; otherwise whoever runs one begins its lease. ``room`` is for how many runs
    this node has a process: what another one has claimed and not begun is taken over as far as that
    goes. None is no limit.
    """
    return patiently(lambda: _claim(known, until, begin, room))


def claim_now(job: Job, *, begin: bool = False, slot: datetime | None = None) -> CronRun | None:
    """Claim a run of the job, due or not; None while it runs and must not overlap.

    It stands for this moment, or for a ``slot`` that was run before.
    """
    return patiently(lambda: _claim_now(job, begin, slot))


def release(run: CronRun) -> None:
    """Let any node take a run that was claimed and has not started, at once."""
    mine = runs().filter(job=run.job, token=run.token, outcome=Outcome.CLAIMED)
    patiently(lambda: mine.update(expires=DatabaseNow()))


def _claim_now(job: Job, begin: bool, slot: datetime | None) -> CronRun | None:
    with brief_transaction():
        row = lock([job]).get(job.name)
        if row is None:
            return None
        decision = Decision(job, row, runs_of([row]).get(job.name, []), begin)
        decision.bury_the_dead()
        run = None
        if job.overlap == "allow" or not decision.is_busy:
            chosen = slot or row.now
            before = runs().filter(job=job.name, slot__in=[chosen]).aggregate(last=Max("attempt"))
            run = decision.add(chosen, Outcome.QUEUED, attempt=(before["last"] or 0) + 1)
            decision.take(run)
        decision.save()
    return run


def _claim(
    known: Sequence[PeriodicJob], until: datetime | None, begin: bool, room: int | None
) -> Claims:
    with brief_transaction():
        rows = lock(known)
        found = Claims(max((row.now for row in rows.values()), default=EPOCH))
        open_runs = runs_of(list(rows.values()))
        created: list[CronRun] = []
        for job in known:
            if job.name not in rows:
                continue
            left = room and max(0, room - len(found.claimed))
            decision = SlotDecision(job, rows[job.name], open_runs.get(job.name, []), begin, left)
            decision.decide(until)
            decision.save_known()
            created += decision.created
            found.claimed += decision.claimed
            found.skipped += decision.of(Outcome.SKIPPED)
            found.missed += decision.of(Outcome.MISSED)
            found.died += decision.died
        runs().bulk_create(created)
    return found


def lock(known: Sequence[Job]) -> "dict[str, Row]":
    """Lock the rows of these jobs, and return them by name."""
    rows = jobs().filter(name__in=[job.name for job in known])
    if connections[database()].features.has_select_for_update:
        locked = rows.select_for_update().order_by("name").values_list("name", flat=True)
        rows = jobs().filter(name__in=list(locked))  # another may be new since, and is not locked
    else:
        rows.update(token=F("token"))
    return {row.name: row for row in rows.annotate(now=DatabaseNow())}


def runs_of(rows: "Sequence[Row]") -> dict[str, list[CronRun]]:
    """Return of each job the runs that are not over, want a look, or started last.

    They are locked: whoever begins, renews or settles one asks only for its own row, not its job's.
    """
    found: dict[str, list[CronRun]] = {}
    started = {row.name: row.started for row in rows}
    wanted = Q(outcome__in=(*ALIVE, Outcome.QUEUED)) | Q(expires__isnull=False)
    last = Q(token__in=set(started.values()))
    for run in _locked(runs().filter(wanted | last, job__in=list(started))):
        if run.expires or run.outcome in (*ALIVE, Outcome.QUEUED) or run.token == started[run.job]:
            found.setdefault(run.job, []).append(run)
    return found


def _locked(chosen: "QuerySet[CronRun]") -> "QuerySet[CronRun]":
    """Return these runs by token, as they are once nobody else can change them.

    They are locked by their keys: by other conditions a server may lock the whole history.
    """
    if connections[chosen.db].features.has_select_for_update:
        keys = list(chosen.values_list("pk", flat=True))
        chosen = runs().filter(pk__in=keys).select_for_update()
    return chosen.order_by("token")


def shuffled(known: Sequence[PeriodicJob]) -> list[PeriodicJob]:
    """Return the jobs in an order of chance: nodes that look at once are less in each other's way."""
    return random.sample(list(known), len(known))
