"""Classes of django-cron of the tests; what they do is told to them by ``acts``."""

from collections.abc import Callable
from typing import Any

from django_cron import CronJobBase, Schedule

from . import crons_for_tests  # noqa: F401  one of its jobs has a name that is taken here too

ran: list[str] = []
"""The codes of what ran."""

acts: dict[str, Callable[[], Any]] = {}
"""What a class does beside."""


class Job(CronJobBase):  # type: ignore[misc]
    """Notes that it ran."""

    def do(self) -> Any:
        ran.append(self.code)
        act = acts.get(self.code)
        return act() if act else None


class Hourly(Job):
    code = "class-hourly"
    schedule = Schedule(run_every_mins=60)


class Parallel(Job):
    code = "class-parallel"
    schedule = Schedule(run_every_mins=60)
    ALLOW_PARALLEL_RUNS = True


class Patient(Job):
    code = "class-patient"
    schedule = Schedule(run_every_mins=60, retry_after_failure_mins=30)


class Tolerant(Job):
    code = "class-tolerant"
    schedule = Schedule(run_every_mins=60, run_tolerance_seconds=600)


class AtMidnight(Job):
    code = "class-midnight"
    schedule = Schedule(run_at_times=["0:00", "00:00"])


class Never(Job):
    code = "class-never"
    schedule = Schedule(run_every_mins=60, run_weekly_on_days=[])


class LeavesOneRow(Job):
    code = "class-one-row"
    schedule = Schedule(run_every_mins=60)
    remove_successful_cron_logs = True


class Watched(Job):
    code = "class-watched"
    schedule = Schedule(run_every_mins=60)
    MIN_NUM_FAILURES = 2


class Changing(Job):
    code = "class-changing"

    @property
    def schedule(self) -> Schedule:
        return Schedule(run_every_mins=60)


class NamedTwice(Job):
    code = "class-hourly"
    schedule = Schedule(run_every_mins=1)


class NamedLikeAFunction(Job):
    code = "hourly"
    schedule = Schedule(run_every_mins=1)


class NoCode(Job):
    schedule = Schedule(run_every_mins=1)


class LongCode(Job):
    code = "c" * 65
    schedule = Schedule(run_every_mins=1)


class NoSchedule(Job):
    code = "class-no-schedule"


class WrongTime(Job):
    code = "class-wrong-time"
    schedule = Schedule(run_at_times=["noon"])


class WrongLease(Job):
    code = "class-wrong-lease"
    schedule = Schedule(run_every_mins=1)
    lease = -1


NOT_A_CLASS = "a text"
