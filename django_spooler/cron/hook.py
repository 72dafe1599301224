"""Where we stand in for pieces of django-cron: its manager of a run, its ``runcrons``, its mails' log."""

from types import SimpleNamespace
from typing import Any

from django.db.models import Manager, QuerySet
from django_cron.core import CronJobManager

from .cron_log import IN_PROGRESS
from .lock import is_chosen


def install() -> None:
    """Let django-cron make our manager where the site has chosen our lock, and call our command.

    Django takes a command from the first app that has it. So that the order of INSTALLED_APPS does
    not matter, ours stands in django-cron's module too. The job that mails of failures in a row counts
    every row that is no success: it is shown none of a run that goes on.
    """
    from django_cron import cron as mails
    from django_cron.management.commands import runcrons as theirs
    from django_cron.models import CronJobLog

    from ..management.commands import runcrons as ours

    CronJobManager.__new__ = _new_manager
    theirs.Command = ours.Command
    ended = _EndedLogs()
    ended.model = CronJobLog
    mails.CronJobLog = SimpleNamespace(objects=ended)


class _EndedLogs(Manager[Any]):
    """The rows of django-cron's log whose runs are over."""

    def get_queryset(self) -> QuerySet[Any]:
        """Leave out what says that it goes on."""
        return super().get_queryset().exclude(is_success=False, message=IN_PROGRESS)


def _new_manager(kind: type, *args: Any, **kwargs: Any) -> Any:
    from .manager import LeasedManager

    return object.__new__(LeasedManager if kind is CronJobManager and is_chosen() else kind)
