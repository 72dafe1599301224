"""What a command says of a database that does not do what it was asked."""

from django.db import Error, connections
from django.db.migrations.executor import MigrationExecutor

from ...cron.lease import database

_APPS = ("django_cron", "django_spooler")
"""Whose tables periodic jobs need."""


def database_problem(error: Error) -> str:
    """Return what is wrong, and the remedy: tables that are missing, or a database that is away."""
    if _is_to_be_migrated():
        return (
            f"The database lacks tables or columns. Run manage.py migrate. It said: {_line(error)}"
        )
    return f"The database does not answer as it should: {_line(error)}"


def _is_to_be_migrated() -> bool:
    try:
        executor = MigrationExecutor(connections[database()])
        last = [node for node in executor.loader.graph.leaf_nodes() if node[0] in _APPS]
        return bool(executor.migration_plan(last))
    except Error:  # then it is away
        return False


def _line(error: Error) -> str:
    return " ".join(str(error).split())
