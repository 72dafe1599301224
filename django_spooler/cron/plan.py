"""What becomes of the slots that have come due: pure, from what is known to what is decided."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FRESH = timedelta(seconds=60)
"""How late a slot may start after a down time that is not caught up with: crontab looks once a minute."""


class Fate(enum.Enum):
    """What becomes of a slot."""

    RUN = "run"
    QUEUE = "queue"
    SKIP = "skip"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a job as its slots are decided on."""

    now: datetime
    busy_since: datetime | None = None
    """When its last run started."""
    busy_until: datetime | None = None
    """When that run ended, None while it goes on."""
    is_busy: bool = False
    """Whether any run goes on."""
    has_queue: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What a job asks for: see ``cron_job``."""

    overlap: str
    catch_up: str
    max_age: timedelta
    """How late a slot may be that is caught up with."""


def fates(due: Sequence[datetime], known: Known, rules: Rules) -> list[Fate]:
    """Return the fate of each slot that has come due since the last decision, in their order.

    The last of them is due now, however late. An earlier one tells of a down time and is for
    ``catch_up``, unless it came due while the job ran: that is for ``overlap``. Of a job whose runs do
    not overlap at most one slot is to run.
    """
    decided = [_fate(slot, due, known, rules) for slot in due]
    if rules.overlap == "allow":
        return [Fate.RUN if fate is Fate.QUEUE else fate for fate in decided]
    if known.is_busy or known.has_queue:
        return [Fate.QUEUE if fate is Fate.RUN else fate for fate in decided]
    if Fate.QUEUE in decided:
        decided = [Fate.QUEUE if fate is Fate.RUN else fate for fate in decided]
        decided[decided.index(Fate.QUEUE)] = Fate.RUN
    return decided


def _fate(slot: datetime, due: Sequence[datetime], known: Known, rules: Rules) -> Fate:
    if rules.overlap != "allow" and _came_while_busy(slot, known):
        return Fate.SKIP if rules.overlap == "skip" else Fate.QUEUE
    lateness, was_down = known.now - slot, len(due) > 1
    if slot == due[-1] and (rules.catch_up != "none" or not was_down or lateness <= FRESH):
        return Fate.RUN
    return Fate.QUEUE if rules.catch_up == "all" and lateness <= rules.max_age else Fate.MISS


def _came_while_busy(slot: datetime, known: Known) -> bool:
    if known.is_busy:
        return known.busy_since is None or slot > known.busy_since
    return (
        known.busy_since is not None
        and known.busy_until is not None
        and known.busy_since < slot <= known.busy_until
    )
