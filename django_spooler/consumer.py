"""One claimed file, from its bytes to its end; the same for uWSGI's spoolers and the plain worker.

A try becomes an outcome before anything is written, and only then the file is moved.
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import IO, Any

from . import database, results
from .backend import signatures_required
from .calls import Call, find_call, find_task_and_terms
from .compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from .conf import queue_problem
from .descriptors import Descriptors
from .envelope import read
from .exceptions import DamagedTask, UnreadableTask, UntrustedTask
from .message import Message
from .perform import Done, Outcome, Trial, clean_context, keep_start, perform
from .settle import announce_set_aside, set_aside, settle
from .spool.counts import NO_TASK, Counts
from .spool.directory import Spool
from .spool.files import read_settled
from .spool.names import TaskName
from .spool.place import Place
from .spool.queue import Claimed
from .timelimit import kill_after


class Consumer:
    """Runs claimed files and settles them, for one process."""

    def __init__(self, spool: Spool, worker_id: str, trace: IO[Any], counts: Counts) -> None:
        """Errors of the process's own end go to ``trace``, an open file."""
        self._spool = spool
        self._counts = counts
        self._worker_id = worker_id
        self._trace = trace
        self._is_forked = False
        self._settle_held: Callable[[], None] | None = None
        os.register_at_fork(after_in_child=self._note_fork)
        self.descriptors = Descriptors()
        self._context = clean_context()
        self._read = partial(read, signed=signatures_required())
        # For the life of this consumer: no task changes its terms in a running process.
        self._find_task = lru_cache(maxsize=1024)(find_task_and_terms)

    def consume(self, claimed: Claimed) -> None:
        """Run one claimed task and settle its file, or leave that to the next call or ``finish``.

        Raise StillWritten, leaving the file claimed, where its producer has not finished it.
        """
        call = None
        try:
            call = self._call_to_run(claimed)
        finally:
            if call is None:
                self.finish()
        if call is not None:
            self._run(claimed, call)

    def finish(self) -> None:
        """Settle the task whose end is held, if one is."""
        if self._settle_held is not None:
            results.send_held()
            settle_held, self._settle_held = self._settle_held, None
            settle_held()

    def _call_to_run(self, claimed: Claimed) -> Call | None:
        """Return the call a file asks for; None, with the file moved on, if it is not to run now."""
        try:
            message, attempts = read_settled(claimed.path, self._read)
        except UnreadableTask as error:
            self._set_aside(claimed, error)
            return None
        try:
            _check_place(message, claimed.place)
            call = find_call(message, attempts, self._find_task)
        except UnreadableTask as error:
            self._set_aside(claimed, error, message)
            return None
        if message.run_after is not None and message.run_after > time.time():
            # It was moved here by hand, or the clock was set back.
            self._spool.schedule(claimed.path, claimed.task_name, claimed.place, message.run_after)
            return None
        return call

    def _run(self, claimed: Claimed, call: Call) -> None:
        name = claimed.task_name
        trial = call.trial(name.attempts, self._worker_id, time.time(), was_started=name.started)
        trial.may_hold = True
        trial.leave_fork = self._leave_fork
        self._counts.start(call.message.task, claimed.waited)
        begun = time.monotonic()
        outcome = self._perform(trial)
        ran = time.monotonic() - begun
        if outcome.is_held:
            self._settle_held = partial(self._settle, claimed, trial, outcome, ran)
            return
        if not isinstance(outcome, Done):  # what failed is written about, which takes descriptors
            self.descriptors.check()
        self._settle(claimed, trial, outcome, ran)

    def _settle(self, claimed: Claimed, trial: Trial, outcome: Outcome, ran: float) -> None:
        settle(self._spool, claimed, trial, outcome)
        self._counts.end(trial.message.task, outcome.ended, ran)

    def _set_aside(
        self, claimed: Claimed, error: UnreadableTask, message: Message | None = None
    ) -> None:
        set_aside(self._spool, claimed, error, message)
        self._counts.end(NO_TASK, "failed")

    def _perform(self, trial: Trial) -> Outcome:
        timeout = trial.terms.policy.timeout
        try:
            if timeout is None:
                outcome = self._start(trial)
            else:
                with kill_after(timeout + trial.terms.options.TIMEOUT_GRACE, self._trace):
                    outcome = self._start(trial)
        finally:
            self._leave_fork()
            is_rolled_back = database.refresh()
        if is_rolled_back and trial.terms.keeps_value and not outcome.is_held:
            results.save(trial.result, trial.terms.options)  # it was in what the task left open
        return outcome

    def _start(self, trial: Trial) -> Outcome:
        keep_start(trial)
        self.finish()  # so that whoever dies of this task leaves no other one claimed
        return perform(trial, self._context)

    def _note_fork(self) -> None:
        self._is_forked = True

    def _leave_fork(self) -> None:
        if self._is_forked:
            os._exit(0)


def adopt(spool: Spool, path: str) -> None:
    """Move a file of ours from the scanned directory to its place: it came through a socket.

    Raise DamagedTask, or StillWritten; set it aside where it is unreadable for another reason.
    """
    try:
        message, _ = read_settled(path, partial(read, signed=signatures_required()))
        place = _checked_place(message.queue, message.priority)
    except UnreadableTask as error:
        if isinstance(error, DamagedTask):
            raise
        reason = f"{type(error).__name__}: {error}"
        spool.set_aside(path, reason)
        announce_set_aside(os.path.basename(path), reason, error)
        return
    name = TaskName(os.path.basename(path))
    if message.run_after is not None and message.run_after > time.time():
        spool.schedule(path, name, place, message.run_after)
    else:
        spool.make_ready(path, name, place)


@lru_cache(maxsize=1024)
def _checked_place(queue: str, priority: int) -> Place:
    """Return the place a message asks for; it becomes a path, so nothing in it is believed."""
    if problem := queue_problem(queue):
        raise DamagedTask(problem)
    if not TASK_MIN_PRIORITY <= priority <= TASK_MAX_PRIORITY:
        raise DamagedTask(f"priority {priority} is out of range")
    return Place.of(queue, priority)


def _check_place(message: Message, place: Place) -> None:
    """Raise UnreadableTask where a file stands in another place than its message was put in.

    No producer of ours makes one, and under SIGNED it would be a way to jump the queue.
    """
    if place != (asked := _checked_place(message.queue, message.priority)):
        raise UntrustedTask(
            f"it stands in queue {place.queue!r} at priority {place.priority}, and was written for"
            f" queue {asked.queue!r} at priority {asked.priority}"
        )
