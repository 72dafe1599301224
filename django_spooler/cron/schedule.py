"""When a job is due: times in, slots out. Nothing here knows a database or a clock.

A slot is the time a run stands for, an aware datetime in UTC. The slots of an interval are its
multiples since the Unix epoch. Those of a crontab expression are in the job's time zone, and when
clocks change the rule is that of Vixie cron. An expression with a ``*`` in front of its minutes or
hours follows the clock on the wall: a time that does not exist is none, one that comes twice is two.
Any other names fixed times: one that does not exist stands for the moment right after the gap, one
that comes twice for its first coming.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..exceptions import InvalidCronJob
from ..instants import EPOCH

UTC = timezone.utc
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=366 * 50)
"""Further apart two slots of one expression cannot be: ``cronsim`` gives up then too."""


class Schedule(Protocol):
    """What yields slots."""

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots later than ``instant``, in order, for ever."""
        ...

    def in_words(self) -> str:
        """Return the schedule as a sentence's part, in English."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Slots at the multiples of an interval since the Unix epoch."""

    every: timedelta

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots later than ``instant``."""
        number = (instant - EPOCH) // self.every
        while True:
            number += 1
            yield EPOCH + number * self.every

    def in_words(self) -> str:
        """Return "every 30 seconds" and the like."""
        seconds = self.every.total_seconds()
        for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if seconds % size == 0:
                return f"every {name}" if seconds == size else f"every {seconds // size:g} {name}s"
        return "every second" if seconds == 1 else f"every {seconds:g} seconds"


@dataclass(frozen=True, slots=True)
class Crontab:
    """Slots at the times a crontab expression of five fields names, or of six with seconds."""

    expression: str
    zone: tzinfo

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots later than ``instant``."""
        instant = instant.astimezone(UTC)
        latest = instant
        for slot in self._from(instant.astimezone(self.zone)):
            if slot > latest:
                latest = slot
                yield slot

    def in_words(self) -> str:
        """Return what ``cronsim`` says of it, and the zone."""
        return f"{CronSim(self.expression, EPOCH).explain()} ({self.zone})"

    def _from(self, start: datetime) -> Iterator[datetime]:
        """Yield slots from some time before ``start`` on; one may come twice, none too late."""
        wall = start.replace(tzinfo=None, fold=0)
        first = self._instant(wall, 0)
        if start.astimezone(UTC) == first:  # what came twice up to here is still to come again
            wall -= self._instant(wall, 1) - first
        later: deque[datetime] = deque()
        for time in CronSim(self.expression, wall - timedelta(seconds=1)):
            first, second = self._instant(time, 0), self._instant(time, 1)
            while later and later[0] < first:
                yield later.popleft()
            if not _exists(time, self.zone):
                if self._is_fixed:
                    yield instant_of(time, self.zone)
                continue
            yield first
            if second != first and not self._is_fixed:
                later.append(second)

    @property
    def _is_fixed(self) -> bool:
        minute, hour = self.expression.split()[-5:-3]
        return not (minute.startswith("*") or hour.startswith("*"))

    def _instant(self, wall: datetime, fold: int) -> datetime:
        return wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """Return when clocks on the wall show a naive time: first, or right after the gap it is in."""
    if not _exists(wall, zone):
        wall = wall.replace(second=0)
    while not _exists(wall, zone):
        wall += _MINUTE
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _exists(wall: datetime, zone: tzinfo) -> bool:
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return instant.astimezone(zone).replace(tzinfo=None, fold=0) == wall


def crontab(expression: str, zone: str | tzinfo) -> Crontab:
    """Return the schedule of a crontab expression.

    Raise InvalidCronJob for an expression or zone that cannot be read, and for an expression that
    never comes true.
    """
    try:
        schedule = Crontab(expression, ZoneInfo(zone) if isinstance(zone, str) else zone)
    except (ValueError, OSError, KeyError) as error:
        raise InvalidCronJob(
            f"time zone {zone!r} is not known here: {error}. Use a name as in 'Asia/Shanghai'"
        ) from error
    problem = _problem(expression)
    if problem is not None and _problem(_every_month(expression)) is not None:
        raise InvalidCronJob(
            f"{expression!r} is no crontab expression: {problem}. It has five fields (minute, hour,"
            " day of the month, month, day of the week), as in '*/5 * * * *'"
        ) from problem
    if problem is not None or next(schedule.after(EPOCH), None) is None:
        raise InvalidCronJob(f"{expression!r} never comes true: no such month has such a day")
    return schedule


def _problem(expression: str) -> CronSimError | None:
    try:
        CronSim(expression, EPOCH)
    except CronSimError as error:
        return error
    return None


def _every_month(expression: str) -> str:
    fields = expression.split()
    fields[-2:-1] = ["*"]
    return " ".join(fields)


def interval(every: timedelta) -> Interval:
    """Return the schedule of an interval. Raise InvalidCronJob for one of less than a second."""
    if not isinstance(every, timedelta) or every < timedelta(seconds=1):
        raise InvalidCronJob(
            f"every is {every!r}: it must be a timedelta of a second or more, as in"
            " timedelta(minutes=5)"
        )
    return Interval(every)


def between(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """Return the slots later than ``after`` up to ``until``: where they are many, the last ones.

    Of the last at least ``limit`` are returned, if there are so many.
    """
    window = _MINUTE
    while True:
        begin = max(after, until - min(window, _LONGEST))
        found = list(takewhile(lambda slot: slot <= until, schedule.after(begin)))
        if len(found) >= limit or begin == after or window > _LONGEST:
            return found
        window *= 4


def latest(schedule: Schedule, until: datetime) -> datetime:
    """Return the last slot up to ``until``."""
    return between(schedule, until - _LONGEST, until, 1)[-1]
