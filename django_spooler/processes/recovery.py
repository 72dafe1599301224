"""What dead processes left behind: their claimed files go back to where they are run again.

A task whose process died on its own used up an attempt. One that a reload or stop cut did not: it
outlasted the grace of its runner, or no supervisor of the same generation is left alive. The second
is also what a task brings about that takes a whole container with it each time, so without a word
that the runner was told to leave it is not believed for ever.

Of two that a process had claimed neither ran when it died: one had ended and its result was to be
kept with the start of the other. They are counted as cut.
"""

import logging
import signal
import time
from dataclasses import dataclass, field, replace

from ..settle import announce_cut, settle_killed
from ..spool.counts import Counts
from ..spool.directory import Spool
from ..spool.files import is_stray, names_if_open, names_in
from ..spool.place import parse_claimed_name
from ..spool.process import (
    RUNNER,
    SUPERVISOR,
    Card,
    cards,
    dead,
    forget,
    forget_unfinished,
    read_card,
)
from ..spool.queue import Claimed
from ..spool.strays import strays
from ..spool.words import UNSEEN, LastWords, forget_words, last_words

logger = logging.getLogger("django_spooler")

SUPERVISOR_PATIENCE = 5.0
"""Seconds a dead runner is left to its own supervisor, which knows how it died."""

MAX_CUTS = 20
"""How often a task may be running when all processes of its server die at once without a word."""


@dataclass
class Recovery:
    """Looks after the dead of one spool, for one supervisor."""

    spool: Spool
    supervisor: str | None = None
    """The name of its supervisor's card; without one nothing is counted."""
    _counts: Counts | None = None
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
            if card.role != RUNNER:
                forget(self.spool, card.name)
            elif card.supervisor not in supervisors:
                self.recover(card.name, self._death(card, generations))
            elif self._waited_enough(card):
                self.recover(card.name, last_words(self.spool, card.name).cause or UNSEEN)
        for path in strays(self.spool):
            self.spool.set_stray_aside(path)
        self._adopt_unknown({card.name for card, _ in known})
        forget_unfinished(self.spool, time.time() - SUPERVISOR_PATIENCE)

    def recover(self, name: str, death: str | None) -> int:
        """Put back the files of a dead process; return how many it had claimed.

        ``death`` tells how it died, as in "signal 9", and costs an attempt; None is a stop or
        reload, which costs none.
        """
        card = read_card(self.spool, name)  # before it is locked
        worker = card.worker_id if card else "unknown"
        with dead(self.spool, name) as ours:
            left = claimed_by(self.spool, name) if ours else []
            words = last_words(self.spool, name)
            ran = len(left) == 1
            for claimed in left:
                try:
                    if death is not None and ran:
                        settle_killed(
                            self.spool, claimed, death, words.stack, worker, self._counts_of_ours()
                        )
                    else:
                        self._put_back(claimed, words, worker, ran=ran)
                except FileNotFoundError:
                    pass
                except PermissionError as error:  # a foreign directory: others' files go on
                    logger.error("%r cannot be put back: %s", claimed.path, error.strerror)
            if self._counts is not None:
                self._counts.close()
            if ours:
                forget_words(self.spool, name)
                forget(self.spool, name)
        self._seen_dead.pop(name, None)
        return len(left)

    def _counts_of_ours(self) -> Counts | None:
        """Return what counts the deaths; most supervisors see none, and keep no file."""
        if self._counts is None and self.supervisor is not None:
            self._counts = Counts(self.spool, self.supervisor)
        return self._counts

    def _death(self, card: Card, generations: set[str]) -> str | None:
        """Return how a runner died whose parent is dead too, None for a stop or reload.

        Whatever a process can die of leaves a word, but SIGKILL and an exit of its own. The exit its
        parent would have seen, and the end of its parent it would have heard of: a runner that did
        not was killed with it.
        """
        words = last_words(self.spool, card.name)
        if words.outlasted_grace or (not words.cause and card.generation not in generations):
            return None
        return words.cause or (UNSEEN if words.was_leaving else f"signal {signal.SIGKILL:d}")

    def _put_back(self, claimed: Claimed, words: LastWords, worker: str, *, ran: bool) -> None:
        name = claimed.task_name
        name = replace(name, started=name.started or ran)
        if ran:
            announce_cut(claimed, words.stack)
        else:
            logger.warning("%s is put back: its process died between two tasks", claimed.task_name)
        if not words.was_leaving:
            name = replace(name, cuts=name.cuts + 1)
        if name.cuts > MAX_CUTS:
            death = f"its server died {name.cuts} times while it ran"
            settle_killed(self.spool, claimed, death, words.stack, worker, self._counts_of_ours())
        else:
            self.spool.make_ready(claimed.path, name, claimed.place)

    def _waited_enough(self, card: Card) -> bool:
        first = self._seen_dead.setdefault(card.name, time.monotonic())
        return time.monotonic() - first > SUPERVISOR_PATIENCE

    def _adopt_unknown(self, known: set[str]) -> None:
        """Put back what stands in a running directory that no readable card speaks for."""
        for name in names_in(self.spool.path("running")):
            if name in known:
                continue
            if is_stray(path := self.spool.path("running", name)):
                self.spool.set_stray_aside(path)
            else:
                first = self._seen_dead.setdefault(name, time.monotonic())
                if time.monotonic() - first > SUPERVISOR_PATIENCE:
                    self.recover(name, None)


def claimed_by(spool: Spool, name: str) -> list[Claimed]:
    """Return the files a process has claimed; what no process of ours put there is set aside."""
    found = []
    for entry in names_if_open(spool.path("running", name)):
        path = spool.path("running", name, entry)
        parsed = parse_claimed_name(entry)
        if parsed is None:
            spool.set_stray_aside(path)
        else:
            found.append(Claimed(path, parsed[1], parsed[0]))
    return found
