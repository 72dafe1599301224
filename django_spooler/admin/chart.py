"""What ran in the last hour and day, as bars: inline SVG without a style of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.utils.formats import number_format, time_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..spool.counts import MINUTE, QUARTER, Point, points
from ..spool.directory import Spool

HEIGHT = 60
STEP = 10
"""Width of a bar with the gap behind it, in units of the drawing."""

PERIODS = ((MINUTE, gettext_lazy("Last hour")), (QUARTER, gettext_lazy("Last day")))


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; numbers are in units of the drawing, as SVG writes them."""

    kind: str
    x: int
    y: str
    height: str
    told: str
    """Its time and value."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One measure over one period."""

    label: str
    told: str
    """What it shows, for those who do not see it."""
    width: int
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is drawn of each point."""

    label: Any
    parts: dict[str, Callable[[Point], float]]
    """What is stacked, from below."""
    told: Callable[[list[Point]], str]


@dataclass(frozen=True, slots=True)
class Period:
    """The charts of one period, and the same in figures."""

    name: str
    label: Any
    charts: list[Chart]
    rows: list[tuple[str, Point]]
    """The time of each slot in which something happened, the newest first."""


def _throughput(found: list[Point]) -> str:
    return _("%(count)s succeeded, at most %(most)s in %(minutes)s min.") % {
        "count": _sum(point.succeeded for point in found),
        "most": number_format(max(point.succeeded for point in found), force_grouping=True),
        "minutes": _minutes(found),
    }


def _failures(found: list[Point]) -> str:
    return _("Failed for good: %(failed)s. Tried again: %(retried)s.") % {
        "failed": _sum(point.failed for point in found),
        "retried": _sum(point.retried for point in found),
    }


def _waiting(found: list[Point]) -> str:
    return _("At most %(seconds)s s on average of %(minutes)s min.") % {
        "seconds": number_format(max(point.waited or 0.0 for point in found), 3),
        "minutes": _minutes(found),
    }


MEASURES = (
    Measure(
        gettext_lazy("Throughput"), {"succeeded": lambda point: float(point.succeeded)}, _throughput
    ),
    Measure(
        gettext_lazy("Failures"),
        {
            "failed": lambda point: float(point.failed),
            "retried": lambda point: float(point.retried),
        },
        _failures,
    ),
    Measure(gettext_lazy("Waiting time"), {"waited": lambda point: point.waited or 0.0}, _waiting),
)


def periods(spools: list[Spool]) -> Iterator[Period]:
    """Yield the last hour and the last day."""
    for length, label in PERIODS:
        found = points(spools, length)
        yield Period(
            name=str(length),
            label=label,
            charts=[_chart(measure, found) for measure in MEASURES],
            rows=[(_time(point), point) for point in reversed(found) if _is_told(point)],
        )


def _chart(measure: Measure, found: list[Point]) -> Chart:
    most = max(sum(part(point) for part in measure.parts.values()) for point in found)
    return Chart(
        label=str(measure.label),
        told=measure.told(found),
        width=len(found) * STEP,
        bars=list(_bars(measure, found, most)),
    )


def _bars(measure: Measure, found: list[Point], most: float) -> Iterator[Bar]:
    for number, point in enumerate(found):
        top = float(HEIGHT)
        for kind, part in measure.parts.items():
            if value := part(point):
                height = value / most * HEIGHT
                top -= height
                told = f"{_time(point)}: {number_format(value, 3 if kind == 'waited' else 0)}"
                yield Bar(kind, number * STEP, f"{top:.1f}", f"{height:.1f}", told)


def _is_told(point: Point) -> bool:
    return any((point.started, point.succeeded, point.failed, point.retried, point.discarded))


def _time(point: Point) -> str:
    at = localtime(datetime.fromtimestamp(point.at, timezone.utc))
    return time_format(at, "TIME_FORMAT")


def _minutes(found: list[Point]) -> str:
    return number_format((found[1].at - found[0].at) / 60, 0)


def _sum(numbers: Iterator[int]) -> str:
    return number_format(sum(numbers), force_grouping=True)
