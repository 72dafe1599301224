"""Results in the site's database: only with ``RESULTS = "database"``."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .compat import AnyTaskResult, TaskError, TaskResultDoesNotExist, TaskResultStatus
from .conf import Options
from .exceptions import UnknownTask
from .logs import contained, fields_of
from .message import Message
from .result import SpoolerResult, as_datetime
from .tasks import find_task
from .updates import Statement, Updates

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import TaskRecord

logger = logging.getLogger("django_spooler")


def commits_with(waiting: Sequence[BaseDatabaseWrapper], options: Options) -> bool:
    """Tell whether a result kept now is committed if, and only if, all ``waiting`` connections commit.

    Only then may the ``outbox`` take a committed result for a task to be queued. With a second
    database in a transaction of its own, the one can commit and the other be rolled back.
    """
    if not options.RESULTS:
        return False
    from .models import TaskRecord

    return [connection.alias for connection in waiting] == [router.db_for_write(TaskRecord)]


def keep(results: Sequence[SpoolerResult], *, published: bool) -> None:
    """Keep new results, in the transaction their database is in.

    Unless they are ``published``, the ``outbox`` will see to their files if nobody else does. A process
    that dies before the tasks are accepted leaves results that stay READY, and nobody was told their
    ids.
    """
    from .models import TaskRecord

    records = [_as_record(result, published) for result in results]
    if len(records) == 1:
        records[0].save(force_insert=True)  # one statement, where many take a transaction
    else:
        TaskRecord.objects.bulk_create(records)


def _as_record(result: SpoolerResult, published: bool) -> "TaskRecord":
    from .models import TaskRecord

    return TaskRecord(  # type: ignore[misc]
        id=result.id,
        task=result.task.module_path,
        backend=result.backend,
        queue_name=result.task.queue_name,
        priority=result.task.priority,
        run_after=result.task.run_after,
        args=result.args,
        kwargs=result.kwargs,
        enqueued_at=result.enqueued_at,
        status=result.status,
        published=published,
    )


def drop(results: Sequence[SpoolerResult]) -> None:
    """Drop results again whose tasks were not accepted."""
    _records_of(results).delete()


@contextmanager
def publishing(results: Sequence[SpoolerResult]) -> Iterator[bool]:
    """Note in committed results that the block writes their tasks' files; yield whether it is to.

    The rows are locked meanwhile: of the process that enqueued the tasks and the ``outbox``, which
    writes what seems forgotten, only one does. It is not to where another has written any of them.
    """
    from .models import TaskRecord

    using = router.db_for_write(TaskRecord)
    with transaction.atomic(using=using):
        records = _records_of(results)
        updated = records.filter(published=False).update(published=True)
        # A result that somebody deleted takes no task with it.
        are_first = updated == len(results) or updated == records.count()
        if not are_first:
            transaction.set_rollback(True, using=using)
        yield are_first


def unpublish(results: Sequence[SpoolerResult]) -> None:
    """Leave the files of these tasks to the ``outbox`` after all."""
    _records_of(results).update(published=False)


def _records_of(results: Sequence[SpoolerResult]) -> "QuerySet[TaskRecord]":
    from .models import TaskRecord

    return TaskRecord.objects.filter(id__in=[result.id for result in results])


def save(result: SpoolerResult, options: Options) -> None:
    """Bring what changed of a result to the database.

    Where that fails it is logged, and the task's own end stands all the same.
    """
    if options.RESULTS:
        try:
            _update(result, options)
        except Exception:
            with contained():
                logger.exception(
                    "The result of task id=%s could not be kept", result.id, extra=fields_of(result)
                )


def hold(result: SpoolerResult, options: Options) -> bool:
    """Keep the result of a success with the start of the next task; tell whether that can be.

    ``send_held`` is called before anything else happens than that start.
    """
    if options.FSYNC:
        return False
    try:
        updates, end, again = _end_of(result)
        return updates.hold(end, again)
    except Exception:
        return False  # to keep it at once fails too, and tells why


def send_held() -> None:
    """Bring the result that is held to the database. Where that fails it is logged."""
    Updates.over(_connection()).send_held()


def send_again() -> None:
    """Bring the ends to the database that it did not take, if it takes them by now.

    A process that has nothing to run calls it: no next start does so for it.
    """
    if Updates.are_known():
        Updates.over(_connection()).send_again()


def note_terms(message: Message, options: Options) -> None:
    """Bring priority and time of a task that an operator has changed to its result.

    Where that fails it is logged: the task itself has them.
    """
    if not options.RESULTS:
        return
    from .models import TaskRecord

    run_after = message.run_after
    try:
        TaskRecord.objects.filter(id=message.id).update(
            priority=message.priority,
            run_after=None if run_after is None else as_datetime(run_after),
        )
    except DatabaseError:
        logger.exception("The result of task id=%s could not be changed", message.id)


def _update(result: SpoolerResult, options: Options) -> None:
    if result.is_finished:
        updates, end, again = _end_of(result)
        updates.send_end(end, again, waits=options.FSYNC)
    else:
        connection = _connection()
        columns = _columns_of(result, connection)
        Updates.over(connection).send(_statement(connection, result.id, columns))


def _end_of(result: SpoolerResult) -> tuple[Updates, Statement, Statement]:
    """Return where the end of a task is sent, how it is said, and how it may be said again."""
    connection = _connection()
    updates = Updates.over(connection)
    columns = _columns_of(result, connection)
    whole = end = _statement(connection, result.id, columns)
    if result.status == TaskResultStatus.SUCCESSFUL and updates.has_latest(result.id):
        end = _statement(connection, result.id, {name: columns[name] for name in _OF_SUCCESS})
    return updates, end, _once_more(connection, whole, columns.get("last_attempted_at"))


def _connection() -> BaseDatabaseWrapper:
    from .models import TaskRecord

    return connections[router.db_for_write(TaskRecord)]


_OF_SUCCESS = ("status", "finished_at", "return_value")
"""What differs between a try that began and one that succeeded."""


def _columns_of(result: SpoolerResult, connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return what changes of a result, as its columns take it.

    Django's fields make the same of these values; they would look first what it is they are given.
    """
    from .models import as_text

    moment = connection.ops.adapt_datetimefield_value
    errors = [
        {"exception_class_path": error.exception_class_path, "traceback": error.traceback}
        for error in result.errors
    ]
    began = {
        "started_at": moment(result.started_at),
        "last_attempted_at": moment(result.last_attempted_at),
    }
    return {
        "status": result.status.value,
        # When a try began that killed its process only the row may know.
        **(began if result.last_attempted_at else {}),
        "finished_at": moment(result.finished_at),
        "worker_ids": as_text(result.worker_ids),
        "errors": as_text(errors),
        "return_value": as_text(result._return_value),
        "published": True,  # whatever became of the process that wrote the file
    }


def _statement(
    connection: BaseDatabaseWrapper, result_id: str, columns: dict[str, Any]
) -> Statement:
    text = _update_of(connection.alias, tuple(columns))
    return Statement(result_id, text, [*columns.values(), result_id])


def _once_more(connection: BaseDatabaseWrapper, statement: Statement, tried_at: Any) -> Statement:
    """Return the statement as it may be said again: not if the task was tried again meanwhile.

    Of one whose start did not arrive either the row knows no try.
    """
    if tried_at is None:
        return statement
    column = connection.ops.quote_name("last_attempted_at")
    text = f"{statement.text} AND ({column} IS NULL OR {column} <= %s)"
    return Statement(statement.row, text, [*statement.parameters, tried_at])


@lru_cache
def _update_of(alias: str, names: tuple[str, ...]) -> str:
    """Return the UPDATE of these columns of a result.

    It is run twice a task, and to build it each time is half of what that costs.
    """
    from .models import TaskRecord

    quoted = connections[alias].ops.quote_name
    columns = ", ".join(f"{quoted(name)} = %s" for name in names)
    table = quoted(TaskRecord._meta.db_table)
    return f"UPDATE {table} SET {columns} WHERE {quoted('id')} = %s"  # noqa: S608  our names


def load(result_id: str) -> AnyTaskResult:
    """Return the result of this id.

    Raise TaskResultDoesNotExist for an unknown id, UnknownTask where the task is no longer there.
    """
    from .models import TaskRecord

    record = TaskRecord.objects.filter(id=result_id).first()
    if record is None:
        raise TaskResultDoesNotExist(result_id)
    task = find_task(record.task)
    if task is None:
        raise UnknownTask(f"Result {result_id} is of {record.task}, which is no task of this site.")
    result = SpoolerResult(
        task=task.using(
            priority=record.priority, queue_name=record.queue_name, run_after=record.run_after
        ),
        id=record.id,
        status=TaskResultStatus[record.status],
        enqueued_at=record.enqueued_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        last_attempted_at=record.last_attempted_at,
        args=record.args,
        kwargs=record.kwargs,
        backend=record.backend,
        errors=[TaskError(**error) for error in record.errors],
        worker_ids=record.worker_ids,
    )
    result.set(_return_value=record.return_value)
    return result
