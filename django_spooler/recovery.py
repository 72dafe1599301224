"""What dead processes left behind: their claimed files go back to where they are run again.

A task whose process died on its own used up an attempt. One that a reload or stop cut did not: then
no supervisor of the same generation is left alive.
"""

import contextlib
import logging
import time
from dataclasses import dataclass, field

from .consumer import settle_killed
from .spool.directory import ASTRAY, Spool, is_directory, names_in
from .spool.process import (
    SUPERVISOR,
    Card,
    cards,
    dead,
    forget,
    parse_claimed_name,
)
from .spool.queue import Claimed

logger = logging.getLogger("django_spooler")

SUPERVISOR_PATIENCE = 5.0
"""Seconds a dead runner is left to its own supervisor, which knows how it died."""


@dataclass
class Recovery:
    """Looks after the dead of one spool, for one supervisor."""

    spool: Spool
    _seen_dead: dict[str, float] = field(default_factory=dict)

    def sweep(self) -> None:
        """Put back what processes without a living supervisor have left."""
        known = list(cards(self.spool))
        supervisors = {card.name for card, alive in known if alive and card.role == SUPERVISOR}
        generations = {
            card.generation for card, alive in known if alive and card.role == SUPERVISOR
        }
        for card, alive in known:
            if alive:
                continue
            if card.role == SUPERVISOR:
                forget(self.spool, card.name)
            elif card.supervisor not in supervisors or self._waited_enough(card):
                death = "unknown signal" if card.generation in generations else None
                self.recover(card.name, death)
        self._adopt_unknown({card.name for card, _ in known})

    def recover(self, name: str, death: str | None) -> int:
        """Put back the files of a dead process; return how many it had claimed.

        ``death`` tells how it died, as in "signal 9", and costs an attempt; None is a stop or
        reload, which costs none.
        """
        with dead(self.spool, name) as ours:
            left = claimed_by(self.spool, name) if ours else []
            for claimed in left:
                with contextlib.suppress(FileNotFoundError):
                    if death is None:
                        self.spool.make_ready(claimed.path, claimed.task_name, claimed.place)
                    else:
                        settle_killed(self.spool, claimed, death)
            if ours:
                forget(self.spool, name)
        self._seen_dead.pop(name, None)
        return len(left)

    def _waited_enough(self, card: Card) -> bool:
        first = self._seen_dead.setdefault(card.name, time.monotonic())
        return time.monotonic() - first > SUPERVISOR_PATIENCE

    def _adopt_unknown(self, known: set[str]) -> None:
        """Put back what stands in a running directory that no readable card speaks for."""
        for name in names_in(self.spool.path("running")):
            if name in known:
                continue
            if not is_directory(path := self.spool.path("running", name)):
                with contextlib.suppress(OSError):
                    self.spool.set_aside(path, ASTRAY)
            else:
                first = self._seen_dead.setdefault(name, time.monotonic())
                if time.monotonic() - first > SUPERVISOR_PATIENCE:
                    self.recover(name, None)


def claimed_by(spool: Spool, name: str) -> list[Claimed]:
    """Return the files a process has claimed; what no process of ours put there is set aside."""
    found = []
    for entry in names_in(spool.path("running", name)):
        path = spool.path("running", name, entry)
        parsed = parse_claimed_name(entry)
        if parsed is None:
            with contextlib.suppress(OSError):
                spool.set_aside(path, ASTRAY)
        else:
            found.append(Claimed(path, parsed[1], parsed[0]))
    return found
