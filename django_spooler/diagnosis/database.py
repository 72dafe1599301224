"""What is wrong with the tables: tasks need them with some options, the admin's permissions always."""

from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.connection import ConnectionDoesNotExist

from ..backend import spooler_backends
from ..exceptions import InvalidOptions
from ..models import TaskRecord
from .problem import Problem

_APP = "django_spooler"


def problems() -> Iterator[Problem]:
    """Yield which migrations are missing, and whether a database that is needed cannot be asked."""
    needs = _needs()
    alias = router.db_for_write(TaskRecord)
    try:
        missing = list(_unapplied(alias))
    except (DatabaseError, ConnectionDoesNotExist, ImproperlyConfigured) as error:
        if needs:  # else tasks run without any
            yield Problem(
                "database",
                f"Database {alias!r} cannot be asked, and {needs} needs it: {error}",
                "Correct DATABASES, or start its server.",
            )
        return
    if missing:
        yield Problem(
            "migrations",
            f"Database {alias!r} lacks the migrations {', '.join(missing)}, and"
            f" {needs or 'what the admin permits, or RESULTS and CRON once they are set,'} needs them.",
            f"python manage.py migrate --database {alias}",
        )


def _needs() -> str | None:
    """Return which option needs tables, None where none does."""
    try:
        options = [backend.spooler_options for backend in spooler_backends()]
    except InvalidOptions:
        return None  # a system check tells of it
    if any(option.RESULTS for option in options):
        return "RESULTS = 'database'"
    return "CRON" if any(option.CRON for option in options) else None


def _unapplied(alias: str) -> Iterator[str]:
    executor = MigrationExecutor(connections[alias])
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == _APP]
    for migration, _ in executor.migration_plan(targets):
        if migration.app_label == _APP:
            yield f"{_APP}.{migration.name}"
