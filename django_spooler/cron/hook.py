"""Where we stand in for pieces of django-cron: its manager of a run, and its ``runcrons``."""

from typing import Any

from django_cron.core import CronJobManager

from .lock import is_chosen


def install() -> None:
    """Let django-cron make our manager where the site has chosen our lock, and call our command.

    Django takes a command from the first app that has it. So that the order of INSTALLED_APPS does
    not matter, ours stands in django-cron's module too.
    """
    from django_cron.management.commands import runcrons as theirs

    from ..management.commands import runcrons as ours

    CronJobManager.__new__ = _new_manager
    theirs.Command = ours.Command


def _new_manager(kind: type, *args: Any, **kwargs: Any) -> Any:
    from .manager import LeasedManager

    return object.__new__(LeasedManager if kind is CronJobManager and is_chosen() else kind)
