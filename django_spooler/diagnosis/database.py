"""What is wrong with the tables: tasks need them with some options, the admin's permissions always."""

from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.connection import ConnectionDoesNotExist
from django.utils.translation import gettext as _

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
                _("Database %(alias)r cannot be asked, and %(option)s needs it: %(error)s")
                % {"alias": alias, "option": needs, "error": error},
                _("Correct DATABASES, or start its server."),
            )
        return
    if missing:
        hint = f"python manage.py migrate --database {alias}"
        yield Problem("migrations", _lacks(alias, ", ".join(missing), needs), hint)


def _lacks(alias: str, missing: str, needs: str | None) -> str:
    facts = {"alias": alias, "migrations": missing, "option": needs}
    if needs:
        return (
            _("Database %(alias)r lacks the migrations %(migrations)s, and %(option)s needs them.")
            % facts
        )
    return (
        _(
            "Database %(alias)r lacks the migrations %(migrations)s, and what the admin permits, or"
            " RESULTS and CRON once they are set, needs them."
        )
        % facts
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
    for migration, _backwards in executor.migration_plan(targets):
        if migration.app_label == _APP:
            yield f"{_APP}.{migration.name}"
