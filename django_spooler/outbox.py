"""Tasks whose transaction was committed and whose file was never written.

A process can die between the two. With ``RESULTS = "database"`` the committed row tells of the task,
and a runner writes the file later; without, such a task is lost with its process.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from . import executors, results
from .backend import signatures_required, spooler_backends
from .compat import AnyTask
from .exceptions import EnqueueError
from .executors import Submission
from .logs import fields_of
from .message import Message
from .redaction import hidden_arguments
from .result import new_result
from .tasks import find_task

if TYPE_CHECKING:
    from .backend import SpoolerBackend
    from .models import TaskRecord

logger = logging.getLogger("django_spooler")

PATIENCE = timedelta(seconds=60)
"""How long the process that enqueued a task is given to write the file."""

_BATCH = 100


def publish_forgotten() -> None:
    """Write the files of tasks that were committed and forgotten, in this backend's databases."""
    for backend in spooler_backends():
        if backend.spooler_options.RESULTS:
            _publish_of(backend)


def _publish_of(backend: "SpoolerBackend") -> None:
    from .models import TaskRecord

    forgotten = TaskRecord.objects.filter(
        published=False, backend=backend.alias, enqueued_at__lt=timezone.now() - PATIENCE
    )
    for record in forgotten.order_by("enqueued_at")[:_BATCH]:
        task = find_task(record.task)
        if task is None:
            continue  # another version of the site, with the task, may publish it
        message = _message_of(record, task)
        submission = Submission(
            task,
            message,
            new_result(task, message),
            backend.spooler_options,
            signatures_required(),
        )
        try:
            _publish(submission)
        except EnqueueError:
            logger.exception(
                "Task id=%s is committed and still cannot be queued",
                record.id,
                extra=fields_of(submission.result, message),
            )


def _publish(submission: Submission) -> None:
    executor = executors.choose(submission.options, submission.message.queue)
    with results.publishing([submission.result]) as is_first:
        if is_first:
            executor.put(submission)
            logger.warning(
                "Task id=%s was committed but not queued; it is now",
                submission.message.id,
                extra=fields_of(submission.result, submission.message),
            )


def _message_of(record: "TaskRecord", task: AnyTask) -> Message:
    run_after = record.run_after
    return Message(
        id=record.id,
        task=record.task,
        args=record.args,
        kwargs=record.kwargs,
        queue=record.queue_name,
        priority=record.priority,
        backend=record.backend,
        enqueued_at=record.enqueued_at.timestamp(),
        run_after=None if run_after is None else run_after.timestamp(),
        redact=hidden_arguments(task, record.args, record.kwargs),
    )
