"""What is wrong with the tasks that stand in a directory."""

import importlib
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from django.utils.translation import gettext as _

from ..envelope import read
from ..exceptions import UnreadableTask
from ..spool.directory import ALL_QUEUES, Spool
from ..spool.files import names_in
from ..spool.listing import overdue, tally, unsorted
from ..spool.names import printable
from ..tasks import find_task
from .problem import Problem
from .processes import can_run_tasks

PATIENCE = 300.0
"""Seconds a task may wait for a free process, and a scheduled one may be late."""

_READ_SECONDS = 0.02
"""Seconds in which waiting tasks are read, and failed ones again: a page waits for it."""


def problems(spool: Spool) -> Iterator[Problem]:
    """Yield what is paused, what waits for too long, and what nobody here can run."""
    paused = spool.paused()
    if paused:
        yield _paused(spool, paused)
    if can_run_tasks(spool):
        yield from _stuck(spool, paused)
    yield from _unknown_tasks(spool)
    yield from _refused_tasks(spool)


def _paused(spool: Spool, paused: set[str]) -> Problem:
    message = (
        _(
            "Every queue of %(directory)s is paused: somebody called spooler pause, or used the"
            " admin."
        )
        if ALL_QUEUES in paused
        else _(
            "Queue %(queues)s of %(directory)s is paused: somebody called spooler pause, or used"
            " the admin."
        )
    )
    facts = {"queues": printable(", ".join(sorted(paused))), "directory": spool.directory}
    return Problem("paused", message % facts, "python manage.py spooler resume")


def _stuck(spool: Spool, paused: set[str]) -> Iterator[Problem]:
    """Yield the queues whose tasks are not taken, though they are ready or due."""
    now = time.time()
    since = {queue: its.oldest for queue, its in tally(spool, "ready").items() if its.oldest}
    late = overdue(spool, now - PATIENCE)
    ready = _(
        "A task in queue %(queue)r of %(directory)s has been ready for %(seconds).0f s, and no"
        " process has taken it."
    )
    due = _(
        "A task in queue %(queue)r of %(directory)s has been due for %(seconds).0f s, and no"
        " process has taken it."
    )
    for message, first in ((ready, since), (due, late)):
        for queue, time_of_first in first.items():
            if now - time_of_first > PATIENCE and not {queue, ALL_QUEUES} & paused:
                yield Problem(
                    "stuck",
                    message
                    % {
                        "queue": printable(queue),
                        "directory": spool.directory,
                        "seconds": now - time_of_first,
                    },
                    _(
                        "See what runs: python manage.py spooler status. More at a time:"
                        " spooler-processes = 4; a task that never ends needs a timeout."
                    ),
                )


def _unknown_tasks(spool: Spool) -> Iterator[Problem]:
    unknown = Counter(_unknown(spool))
    if unknown:
        most = unknown.most_common(5)
        names = ", ".join(f"{printable(name)} ({count})" for name, count in most)
        chosen = f"--all --task {shlex.quote(most[0][0])}"
        yield Problem(
            "unknown-task",
            _("Tasks in %(directory)s have names that this site does not know: %(names)s.")
            % {"directory": spool.directory, "names": names},
            _(
                "Where one was renamed or its app removed, deploy a module that has it, then:\n"
                "%(retry)s\n"
                "Else delete what waits and what failed:\n"
                "%(discard)s"
            )
            % {
                "retry": f"python manage.py spooler retry {chosen}",
                "discard": f"python manage.py spooler discard {chosen} --state all",
            },
        )


def _refused_tasks(spool: Spool) -> Iterator[Problem]:
    reasons = Counter(_reasons(spool))
    if newer := reasons["NewerTask"]:
        yield Problem(
            "versions",
            _("%(count)s tasks failed in %(directory)s because a newer django-spooler wrote them.")
            % {"count": newer, "directory": spool.directory},
            _("Upgrade django-spooler here, then: python manage.py spooler retry --all"),
        )
    if untrusted := reasons["UntrustedTask"]:
        yield Problem(
            "untrusted",
            _(
                "%(count)s tasks failed in %(directory)s because their signature is missing or made"
                " with another key, or they stood in another place than they were written for."
            )
            % {"count": untrusted, "directory": spool.directory},
            _(
                "Give every process of the site the same SECRET_KEY (old ones in"
                " SECRET_KEY_FALLBACKS) and the same SIGNED, restart uWSGI, then: python manage.py"
                " spooler retry --all"
            ),
        )


def _unknown(spool: Spool) -> Iterator[str]:
    """Yield the name of each waiting or failed task that nobody here knows, as far as is read."""
    names = [name for name in _names(spool) if find_task(name) is None]
    if names and getattr(settings, "ROOT_URLCONF", None):
        with suppress(Exception):  # what is wrong with the site's URLs is for its own checks to say
            importlib.import_module(settings.ROOT_URLCONF)  # views have tasks too
    yield from (name for name in names if find_task(name) is None)


def _names(spool: Spool) -> Iterator[str]:
    until = time.monotonic() + _READ_SECONDS
    for file in unsorted(spool, "ready", "scheduled"):
        if time.monotonic() > until:
            break
        try:
            yield read(file.path, signed=False)[0].task
        except (UnreadableTask, OSError):
            continue
    for reason, task in _failed(spool):
        if task is not None and reason.startswith("UnknownTask"):
            yield task


def _reasons(spool: Spool) -> Iterator[str]:
    """Yield the first word of the reasons why tasks failed."""
    for reason, _task in _failed(spool):
        yield reason.partition(":")[0]


def _failed(spool: Spool) -> Iterator[tuple[str, str | None]]:
    """Yield reason and task of those that failed, as far as is read."""
    until = time.monotonic() + _READ_SECONDS
    for identifier in names_in(spool.path("failed")):
        if time.monotonic() > until:
            return
        if entry := spool.failed_entry(identifier):
            yield entry[1].reason, entry[1].task
