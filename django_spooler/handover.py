"""The last step of ``enqueue``: results are kept, files put where spoolers find them, tasks announced.

In a transaction it waits for the commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper

from . import database, results
from .compat import BaseTaskBackend, is_heard, task_enqueued
from .conf import Options
from .exceptions import EnqueueError
from .executors import Executor, Submission
from .logs import fields_of
from .result import SpoolerResult

logger = logging.getLogger("django_spooler")


@dataclass(slots=True)
class Handover:
    """Submissions of one backend and one way out, in their order."""

    sender: type[BaseTaskBackend]
    """Who sends the signal about them."""

    executor: Executor
    options: Options
    waits: bool
    """Whether a transaction they are enqueued in is to be committed first."""

    submissions: list[Submission]

    @property
    def way(self) -> tuple[str, str, bool]:
        """What those have in common that can be handed over together: backend, queue, and when."""
        message = self.submissions[0].message
        return message.backend, message.queue, self.waits

    def go(self) -> None:
        """Hand the submissions over, or do so once the transactions this thread is in are committed.

        Raise EnqueueError where one of them cannot be accepted: it and those behind it are not kept.
        """
        waiting = database.in_transactions() if self.waits else []
        if not waiting:
            self._keep_and_put()
            return
        are_kept = results.commits_with(waiting, self.options)
        if are_kept:
            results.keep(self._results, published=False)
        _after_commits(waiting, partial(self._put_after_commit, are_kept))

    @property
    def _results(self) -> list[SpoolerResult]:
        return [submission.result for submission in self.submissions]

    def _put_after_commit(self, are_kept: bool) -> None:
        """Queue submissions whose transaction is committed: too late to roll anything back."""
        try:
            if are_kept:
                self._publish()
            else:
                self._keep_and_put()
        except EnqueueError as error:
            first = self.submissions[0]
            name = f"{first.message.task} id={first.message.id}"
            if are_kept:
                # The committed rows tell of them, and a runner queues them later.
                fields = fields_of(first.result, first.message)
                logger.exception("Task %s is committed, but not queued yet", name, extra=fields)
                return
            which = f"its task {name} is not queued"
            if len(self.submissions) > 1:
                count = len(self.submissions)
                which = f"of its {count} tasks from {name} on {error.accepted} are queued"
            raise type(error)(
                f"The transaction is committed, but {which}, and nothing that it enqueued"
                f" afterwards is: {error}"
            ) from error

    def _keep_and_put(self) -> None:
        if self.options.RESULTS:
            results.keep(self._results, published=True)
        accepted, error = self._put()
        if error and self.options.RESULTS:
            results.drop(self._results[accepted:])
        self._conclude(accepted, error)

    def _publish(self) -> None:
        with results.publishing(self._results) as are_first:
            accepted, error = self._put() if are_first else (len(self.submissions), None)
            if error:
                results.unpublish(self._results[accepted:])
        if are_first or len(self.submissions) == 1:
            self._conclude(accepted, error)
        else:
            for part in self.parts(1):
                part._publish()

    def _put(self) -> tuple[int, EnqueueError | None]:
        """Return how many of the submissions are accepted, and what kept the next from being."""
        accepted = 0
        try:
            for _ in self.executor.put_all(self.submissions):
                accepted += 1
        except EnqueueError as error:
            return accepted + error.accepted, error
        return accepted, None

    def _conclude(self, accepted: int, error: EnqueueError | None) -> None:
        for submission in self.submissions[:accepted]:
            if is_heard(task_enqueued):
                task_enqueued.send_robust(self.sender, task_result=submission.result)
            self.executor.finish(submission)
        if error:
            error.accepted = accepted
            raise error

    def parts(self, size: int) -> list["Handover"]:
        """Return handovers of up to ``size`` of the submissions each."""
        return [
            Handover(
                self.sender,
                self.executor,
                self.options,
                self.waits,
                self.submissions[start : start + size],
            )
            for start in range(0, len(self.submissions), size)
        ]


def _after_commits(waiting: list[BaseDatabaseWrapper], put: Callable[[], None]) -> None:
    """Call ``put`` once the transactions of all ``waiting`` connections have been committed.

    One that is rolled back never says so, and then ``put`` is never called.
    """
    aliases = {connection.alias for connection in waiting}

    def committed(alias: str) -> None:
        aliases.discard(alias)
        if not aliases:
            put()

    for connection in waiting:
        connection.on_commit(partial(committed, connection.alias))
