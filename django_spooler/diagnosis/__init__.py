"""What is wrong with the set-up: seen from outside, told with its evidence and the remedy.

The parts look at one thing each, and change nothing. ``problems`` is quick, for a page that is
looked at; ``examine`` also asks the database and sends a task through the queue.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from .. import checks
from ..backends import served_directories
from ..exceptions import SpoolerError
from ..spool.directory import Spool
from . import canary, crons, database, directory, processes, remote, waiting
from .problem import Problem

__all__ = ["Problem", "Report", "examine", "problems"]

CANARY_SECONDS = 10.0
"""Seconds a task of highest priority is waited for."""

_CAUSES = {"not-writable", "disk-full"}
"""What keeps processes from serving a directory, and from saying that they are there."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    problems: list[Problem]
    canary_ms: float | None
    """How long the slowest queue took to run a task, in milliseconds; None where none was run."""


def problems() -> list[Problem]:
    """Return what a quick look finds, in some milliseconds; nothing is sent or changed."""
    return list(_quick_problems())


def examine(seconds: float = CANARY_SECONDS) -> Report:
    """Return all that can be found; a task is sent to each queue and waited for so many seconds."""
    served = _served()
    for spool in served:
        processes.wait_for_start(spool)
    found = [*problems(), *database.problems(), *crons.problems(), *remote.problems()]
    slowest = None
    for spool, queues in served.items():
        if processes.can_run_tasks(spool):
            for queue in queues:
                told, milliseconds = canary.problems(spool, queue, seconds)
                found += told
                slowest = max(filter(None, (slowest, milliseconds)), default=None)
    return Report(found, slowest)


def _quick_problems() -> Iterator[Problem]:
    messages = checks.all_messages()
    for message in messages:
        yield Problem(str(message.id), str(message.msg), str(message.hint))
    try:
        served_directories()
    except SpoolerError as error:
        if not messages:  # else they say it better
            hint = "OPTIONS = {'SPOOLERS': {'default': '/var/spool/mysite'}}"
            yield Problem("no-directory", str(error), hint)
    for spool in _served():
        yield from _problems_of(spool)


def _problems_of(spool: Spool) -> list[Problem]:
    try:
        spool.require_access()
        found = list(directory.problems(spool))
        if not _CAUSES & {problem.id for problem in found}:
            found += processes.problems(spool)
        return [*found, *waiting.problems(spool)]
    except (SpoolerError, OSError) as error:
        return [Problem("no-access", str(error), _("Run this as the user the site runs as."))]


def _served() -> dict[Spool, list[str]]:
    """Return the directories of the site, none where the settings keep them from being known."""
    try:
        return {Spool(path): queues for path, queues in served_directories().items()}
    except SpoolerError:
        return {}
