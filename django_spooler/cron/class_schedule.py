"""When a class of django-cron is due: its ``Schedule``, a moment and its last run in, a slot out.

Nothing here knows a database or a clock. django-cron's rules hold, with two differences: a run counts
from its start, whatever became of it, and a run that failed is due again after a pause, even where
the schedule asks for none. A slot is the time a run stands for, an aware datetime in UTC.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Any

from ..instants import EPOCH
from .schedule import Interval, instant_of

RETRY = timedelta(minutes=1)
"""After which a failed run is due again at the latest, where ``retry_after_failure_mins`` is not set.

0 is the same as not set to django-cron.
"""

_LONGEST = 366 * 8
"""Days in which each day of a month has been each day of the week, but for the 29th of February."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Last:
    """The last run of a job."""

    start: datetime
    failed: bool


@dataclass(frozen=True, slots=True)
class ClassSchedule:
    """django-cron's ``Schedule`` in a time zone."""

    schedule: Any
    zone: tzinfo

    @property
    def every(self) -> timedelta | None:
        """Return ``run_every_mins``."""
        minutes = self.schedule.run_every_mins
        return None if minutes is None else timedelta(minutes=minutes)

    @property
    def tolerance(self) -> timedelta:
        """Return by how much earlier a run may start."""
        return timedelta(seconds=self.schedule.run_tolerance_seconds or 0)

    @property
    def retry_after(self) -> timedelta:
        """Return how long after its start a failed run is due again."""
        minutes = self.schedule.retry_after_failure_mins
        if minutes:
            return timedelta(minutes=minutes)
        return RETRY if self.every is None else min(self.every, RETRY)

    def check(self) -> None:
        """Raise AttributeError, TypeError or ValueError for a schedule that cannot be read."""
        next(self.upcoming(EPOCH, None), None)
        self.in_words()

    def rest_after(self, *, failed: bool) -> float:
        """Return how many seconds after its start a run may be followed by the next."""
        rest = self.retry_after if failed else self.every or timedelta()
        return max(0.0, (rest - self.tolerance).total_seconds())

    def is_day(self, moment: datetime) -> bool:
        """Tell whether the job runs on this day of the week and of the month at all."""
        return self._is_date(moment.astimezone(self.zone).date())

    def is_resting(self, moment: datetime, last: Last | None) -> bool:
        """Tell whether the last run failed so lately that another has to wait."""
        return (
            last is not None
            and last.failed
            and moment + self.tolerance <= last.start + self.retry_after
        )

    def by_interval(self, moment: datetime, last: Last | None) -> datetime | None:
        """Return the slot that ``run_every_mins`` makes due, None if there is none."""
        if self.every is None:
            return None
        if last is None:
            return moment
        pause = self.retry_after if last.failed else self.every
        if moment + self.tolerance <= last.start + pause:
            return None
        return last.start + pause if pause else moment

    def times_come(self, moment: datetime) -> dict[datetime, time]:
        """Return the slots of ``run_at_times`` whose time has come today, by the clock on the wall."""
        local = moment.astimezone(self.zone)
        minute = local.time().replace(second=0, microsecond=0)
        return {self._slot(local.date(), at): at for at in self._times if at <= minute}

    def midnight(self, moment: datetime) -> datetime:
        """Return when the day began."""
        return self._slot(moment.astimezone(self.zone).date(), time())

    def text_of(self, slot: datetime) -> str | None:
        """Return the entry of ``run_at_times`` that a slot comes from, None for another slot."""
        day = slot.astimezone(self.zone).date()
        for text in self.schedule.run_at_times or ():
            if self._slot(day, _time(text)) == slot:
                return str(text)
        return None

    def upcoming(self, moment: datetime, last: Last | None) -> Iterator[datetime]:
        """Yield the times at which the job comes due after ``moment``, if each run succeeds at once.

        The first is ``moment`` itself where its interval is already over.
        """
        both = heapq.merge(self._intervals(moment, last), self._times_after(moment, last))
        return (at for at, _ in groupby(both))

    def in_words(self) -> str:
        """Return "every 5 minutes, on Monday and Friday" and the like."""
        words = []
        if self.every is not None:
            words.append(Interval(self.every).in_words() if self.every else "at every look")
        if self.schedule.run_at_times:
            words.append(f"at {_listed(self.schedule.run_at_times)}")
        if self.schedule.run_weekly_on_days is not None:
            days = [_DAYS[day] for day in self.schedule.run_weekly_on_days if day in range(7)]
            words.append(f"on {_listed(days)}")
        if self.schedule.run_monthly_on_days is not None:
            words.append(f"on day {_listed(self.schedule.run_monthly_on_days)} of the month")
        return ", ".join(words) or "never"

    @property
    def _times(self) -> list[time]:
        return sorted(_time(text) for text in self.schedule.run_at_times or ())

    def _is_date(self, day: date) -> bool:
        monthly, weekly = self.schedule.run_monthly_on_days, self.schedule.run_weekly_on_days
        return (monthly is None or day.day in monthly) and (
            weekly is None or day.weekday() in weekly
        )

    def _slot(self, day: date, at: time) -> datetime:
        return instant_of(datetime.combine(day, at), self.zone)

    def _intervals(self, moment: datetime, last: Last | None) -> Iterator[datetime]:
        if self.every is None:
            return
        at = moment
        if last is not None:
            after = self.retry_after if last.failed else self.every
            at = max(moment, last.start + after - self.tolerance)
        for _ in range(_LONGEST):
            while self.is_day(at):
                yield at
                at += max(self.every, timedelta(seconds=1))
            at = self._slot(at.astimezone(self.zone).date() + timedelta(days=1), time())

    def _times_after(self, moment: datetime, last: Last | None) -> Iterator[datetime]:
        if not self._times:
            return
        if last is not None and last.failed:
            again = last.start + self.retry_after - self.tolerance
            if again > moment:
                yield again
        today = moment.astimezone(self.zone).date()
        for days in range(_LONGEST):
            day = today + timedelta(days=days)
            if self._is_date(day):
                yield from (slot for at in self._times if (slot := self._slot(day, at)) > moment)


def _time(text: str) -> time:
    return datetime.strptime(text, "%H:%M").time()


def _listed(items: Any) -> str:
    *others, last = [str(item) for item in items] or ["no day"]
    return f"{', '.join(others)} and {last}" if others else last
