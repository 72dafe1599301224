"""From a message to what this site does about it: the task, and the terms it is tried on."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from .backends import options_of
from .compat import AnyTask, InvalidTask, TaskError
from .exceptions import UnknownTask
from .message import Attempt, Message
from .perform import Terms, Trial
from .result import SpoolerResult, new_result
from .tasks import find_task


@dataclass(slots=True)
class Call:
    """A call that was read from a file and that this site has the task for."""

    message: Message
    attempts: list[Attempt]
    task: AnyTask
    terms: Terms

    def trial(
        self, used_up: int, worker_id: str, began: float | None, *, was_started: bool = False
    ) -> Trial:
        """Return the try of the call that follows the attempts ``used_up``."""
        return Trial(
            self.task,
            self.message,
            self.terms,
            worker_id,
            used_up + 1,
            began,
            partial(self._result_after, used_up),
            was_started,
        )

    def _result_after(self, used_up: int) -> SpoolerResult:
        result = new_result(self.task, self.message)
        if not used_up:
            return result
        latest = {attempt.attempt: attempt for attempt in self.attempts}
        for number in range(1, used_up + 1):
            attempt = latest.get(number)
            result.worker_ids.append(attempt.worker if attempt else "unknown")
            if attempt:
                result.errors.append(
                    TaskError(exception_class_path=attempt.exception, traceback=attempt.traceback)
                )
        return result


def find_task_and_terms(
    name: str, queue: str, priority: int, backend: str
) -> tuple[AnyTask, Terms]:
    """Return the task a message names, as it was enqueued. Raise UnknownTask."""
    task = find_task(name)
    if task is None:
        raise UnknownTask(
            f"{name} is no task of this site. If it was renamed or its app removed, deploy"
            " a module that has it and retry; else discard"
        )
    if (task.queue_name, task.priority) != (queue, priority):
        # The queue may have been taken out of the settings after the call was accepted.
        with suppress(InvalidTask):
            task = task.using(queue_name=queue, priority=priority)
    return task, Terms.of(task, options_of(backend))


def find_call(
    message: Message,
    attempts: list[Attempt],
    find: Callable[[str, str, int, str], tuple[AnyTask, Terms]] = find_task_and_terms,
) -> Call:
    """Return the call a message asks for. Raise UnknownTask for a task this site does not have."""
    task, terms = find(message.task, message.queue, message.priority, message.backend)
    return Call(message, attempts, task, terms)
