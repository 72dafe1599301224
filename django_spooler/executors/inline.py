"""Out at once, in this process: for tests, shells and sites not yet under uWSGI."""

import os
import socket
import time
from dataclasses import replace
from itertools import count

from ..perform import (
    Again,
    Failed,
    Terms,
    Trial,
    announce_failed,
    clean_context,
    keep_start,
    perform,
)
from .base import Executor, Submission


class InlineExecutor(Executor):
    """Runs the task before ``enqueue`` returns, by the spooler's own rules.

    Tries follow each other without a pause, ``run_after`` is not waited for, and a
    ``spooler_forever`` task runs once.
    """

    together = 1  # the next is not accepted where INLINE_RAISES lets one end everything

    def put(self, submission: Submission) -> None:
        """Accept the submission: there is nothing to write."""

    def finish(self, submission: Submission) -> None:
        """Run the task; its error is recorded and logged, and raised only with INLINE_RAISES.

        KeyboardInterrupt always goes on: whoever pressed Ctrl-C wants more than the task to end.
        """
        context = clean_context()
        worker_id = f"inline-{socket.gethostname()}-{os.getpid()}"
        terms = Terms.of(submission.task, submission.options)
        policy = replace(terms.policy, backoff=0.0)
        terms = replace(terms, policy=policy, keeps_value=True)  # the result has it
        for number in count(1):
            trial = Trial(
                submission.task,
                submission.message,
                terms,
                worker_id,
                number,
                time.time(),
                lambda: submission.result,
            )
            keep_start(trial)
            outcome = perform(trial, context)
            error = getattr(outcome, "error", None)
            if isinstance(error, KeyboardInterrupt):
                raise error
            if not isinstance(outcome, Again):
                break
        if isinstance(outcome, Failed):
            announce_failed(trial, outcome)
        if error is not None and submission.options.INLINE_RAISES:
            raise error
