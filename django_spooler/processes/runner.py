"""The process that runs tasks: claims, consumes, waits, until it is told to leave.

It is a child of a supervisor and outlives it for as long as its current task takes: a reload or
stop of the server then cuts nothing.
"""

import contextlib
import errno
import faulthandler
import logging
import os
import select
import signal
import time
from types import FrameType

from .. import context, database, results
from ..children import TO_LEAVE
from ..consumer import Consumer
from ..orphans import signal_on_death_of_parent
from ..outbox import publish_forgotten
from ..settle import settle_trouble
from ..spool.counts import Counts
from ..spool.directory import Spool
from ..spool.files import StillWritten
from ..spool.process import Card, HeldCard
from ..spool.queue import Claimed, ReadyQueue
from ..spool.schedule import Schedule
from ..spool.watch import new_watcher
from ..spool.words import GRACE, forget_words, open_for_last_words, say_leaving
from ..surroundings import Surroundings
from ..timelimit import end_within
from .recovery import claimed_by
from .unheard import spare_unheard_records
from .wakeup import Wakeup

logger = logging.getLogger("django_spooler")

_TICK = 1.0
"""Seconds without an event after which a runner looks around by itself."""

_LOOK_PAUSE = 0.002
"""Seconds between two looks at what came in, between short tasks."""

_EXAMINE_PAUSE = 0.002
"""Seconds between two looks of a runner at itself, between short tasks."""

_OUTBOX_PAUSE = 30.0
"""Seconds between two looks at what was committed and not queued."""

_PATIENCE = 0.2
"""Seconds after it became ready that a file is waited for whose producer is about to finish it."""

_PATIENCE_LOOKS = 200
"""How often it is looked at meanwhile."""

_TROUBLE_PAUSE = 1.0
"""Seconds after an error of the spool directory."""

_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)


class Runner:
    """One task after the other, in one process."""

    def __init__(
        self,
        spool: Spool,
        card: Card,
        *,
        stop_grace: float,
        queues: list[str] | None,
        spared: str | None,
        home: str,
        parent: int,
    ) -> None:
        """``stop_grace`` is in seconds; ``queues`` are those to serve, None for all.

        ``spared`` is one to leave to others.
        ``home`` is the directory tasks run in.
        ``parent`` is the supervisor's pid, known before the fork: a supervisor that dies during it
        would otherwise never be missed.
        """
        self._spool = spool
        self._card = HeldCard(spool, card)
        self._home = home
        self._parent = parent
        self._stop_grace = stop_grace
        self._leaving = False
        self._look_around_at = 0.0
        self._examine_at = 0.0
        self._more_due = False
        self._outbox_at = time.monotonic() + _OUTBOX_PAUSE
        self._watcher = new_watcher()
        self._queue = ReadyQueue(spool, self._watcher, self._card.running, queues, spared)
        self._schedule = Schedule(spool, self._watcher)
        self._last_words = open_for_last_words(spool, card.name)
        self._counts = Counts(spool, card.name)
        self._consumer = Consumer(spool, card.worker_id, self._last_words, self._counts)
        self._wakeup = Wakeup()

    def run(self, *, until_empty: bool = False) -> None:
        """Serve until told to leave, or until nothing is ready, then give the card back.

        A process that a task has spoilt leaves too: only a fresh one has any descriptors then.
        """
        self._settle_in()
        while not self._is_to_leave():
            try:
                if not self._step():
                    if until_empty:
                        break
                    self._wait()
            except OSError as error:
                logger.exception("Spool directory %s makes trouble", self._spool.directory)
                if error.errno == errno.EMFILE:
                    self._consumer.descriptors.check()
                    break
                self._get_over_trouble()
        self._consumer.finish()
        self._put_back_leftovers()
        self._leave()

    def _get_over_trouble(self) -> None:
        """Let nothing be forgotten that was at hand when a call failed; try again in a moment."""
        self._consumer.finish()
        with contextlib.suppress(OSError):
            self._card.keep()
        self._put_back_leftovers()
        self._schedule.relist()
        self._queue.relist()
        self._rest(_TROUBLE_PAUSE)

    def _step(self) -> bool:
        """Run one task; tell whether there may be more."""
        looks = time.monotonic() >= self._look_around_at
        if looks:
            self._look_around()
        claimed = self._queue.claim()
        if claimed is not None:
            self._consume(claimed)
            return True
        self._consumer.finish()
        self._look_around_at = 0.0
        return not looks or self._more_due

    def _look_around(self) -> None:
        """Take note of what came in or became due; a busy runner does it now and then."""
        self._look_around_at = time.monotonic() + _LOOK_PAUSE
        changed = self._watcher.changed()
        if changed:
            self._schedule.note_changes(changed)
            self._queue.note_changes(changed)
        self._look_into_outbox()
        self._more_due = self._schedule.make_due_ready()

    def _consume(self, claimed: Claimed) -> None:
        try:
            self._consume_once_whole(claimed)
            self._surroundings.restore()
            if time.monotonic() >= self._examine_at:
                self._examine_itself()
        except StillWritten:
            self._queue.put_back(claimed)
        except OSError:
            raise
        except Exception as error:
            logger.exception("%s could not be handled", claimed.path)
            settle_trouble(self._spool, claimed, error)

    def _examine_itself(self) -> None:
        """See what became of this process, and whether its parent lives.

        Between short tasks it is done now and then: each question is a call of the system.
        """
        self._examine_at = time.monotonic() + _EXAMINE_PAUSE
        self._leaving = self._leaving or os.getppid() != self._parent
        self._consumer.descriptors.check()
        self._surroundings.restore_limits()

    def _consume_once_whole(self, claimed: Claimed) -> None:
        """Wait for a producer that is about to finish, so that what it puts in next does not overtake.

        Raise StillWritten where it takes longer.
        """
        for _ in range(_PATIENCE_LOOKS):
            try:
                self._consumer.consume(claimed)
                return
            except StillWritten:
                if not 0 < claimed.waited <= _PATIENCE:
                    raise
                time.sleep(_PATIENCE / _PATIENCE_LOOKS)
        raise StillWritten(claimed.path)

    def _put_back_leftovers(self) -> None:
        """Return what is claimed and not settled; no task runs while this is called."""
        with contextlib.suppress(OSError):  # then the supervisor does it
            for claimed in claimed_by(self._spool, self._card.card.name):
                self._spool.make_ready(claimed.path, claimed.task_name, claimed.place)

    def _leave(self) -> None:
        """Give the card back; nothing claimed is left."""
        self._counts.close()
        forget_words(self._spool, self._card.card.name)
        self._card.leave()

    # Waiting

    def _wait(self) -> None:
        self._wakeup.drain()
        self._examine_itself()
        if self._is_to_leave():
            return
        self._counts.save()
        self._card.keep()  # who deletes the directory may take it without any call of ours failing
        self._put_back_leftovers()  # an error of ours, or another's hand, may have put it there
        results.send_again()
        seconds = _TICK
        due = self._schedule.next_due()
        if due is not None:
            seconds = min(seconds, due - time.time())
        rests = self._queue.rests()
        if rests is not None:
            seconds = min(seconds, rests)
        self._watcher.wait(seconds, self._wakeup.fileno())
        database.refresh()

    def _look_into_outbox(self) -> None:
        if time.monotonic() >= self._outbox_at:
            self._outbox_at = time.monotonic() + _OUTBOX_PAUSE
            try:
                publish_forgotten()
            except Exception:
                logger.exception("The outbox could not be looked into")

    def _rest(self, seconds: float) -> None:
        """Wait for the time or a signal that comes from now on, whatever happens in the spool."""
        self._wakeup.drain()  # a task's timeout has left a byte, and no rest would be any
        if not self._is_to_leave():
            select.select([self._wakeup], [], [], seconds)

    # Leaving

    def _settle_in(self) -> None:
        os.chdir(self._home)
        spare_unheard_records()
        self._listen()
        self._surroundings = Surroundings()
        self._consumer.descriptors.keep_back()

    def _listen(self) -> None:
        """Hear the signals that mean to leave after the task, which HUP gives all the time it takes.

        TERM is sent for a lost parent too, and INT reaches every process of a terminal at a Ctrl-C:
        they shall cut nothing either, but wait no longer than the grace.
        """
        self._wakeup.hear()
        for signum in TO_LEAVE:
            signal.signal(signum, self._leave_soon)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        self._die_of_faults()
        signal_on_death_of_parent(signal.SIGTERM)

    def _die_of_faults(self) -> None:
        """Undo uWSGI's handlers, which end a segmentation fault with exit code 1."""
        for signum in _FAULTS:
            signal.signal(signum, signal.SIG_DFL)
        faulthandler.enable(self._last_words)

    def _leave_soon(self, signum: int, frame: FrameType | None) -> None:
        if not self._leaving:
            self._leaving = True
            context.note_stop()
            say_leaving(self._last_words)
        if signum != signal.SIGHUP:
            end_within(self._stop_grace, self._last_words, GRACE)

    def _is_to_leave(self) -> bool:
        return self._leaving or self._consumer.descriptors.used_up or self._surroundings.spoilt
