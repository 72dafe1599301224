"""Who should run the tasks of a directory, and how its uWSGI is set up."""

import os
import time
from collections.abc import Iterator

from django.utils.translation import gettext as _

from .. import canary
from ..browse import COUNTED, capped
from ..processes.identity import package_version, site_identity
from ..spool.directory import Spool
from ..spool.files import is_directory
from ..spool.listing import count, priorities
from ..spool.names import printable
from ..spool.place import TREE
from ..spool.process import RUNNER, SERVER, SPOOLER, SUPERVISOR, Card, cards
from . import machine
from .problem import Problem

START_SECONDS = 5.0
"""Seconds a process has to bring up the next one, before that is missed."""

_LOOK_PAUSE = 0.05

_OLDEST_UWSGI = (2, 0, 28)

_IMPORT = "import = django_spooler.worker"
_LAZY_IMPORT = "spooler-import = django_spooler.worker"


def can_run_tasks(spool: Spool) -> bool:
    """Tell whether a living process runs the directory's tasks."""
    return bool(_living(spool, RUNNER))


def wait_for_start(spool: Spool) -> None:
    """Give a server that was just started, or reloaded, the time to start what runs tasks."""
    until = time.monotonic() + START_SECONDS
    while _is_starting(spool) and time.monotonic() < until:
        time.sleep(_LOOK_PAUSE)


def problems(spool: Spool) -> Iterator[Problem]:
    """Yield why nothing runs, and what is wrong with the processes that are there."""
    handlers = list(_handler_taken(spool))
    yield from handlers
    if not handlers and not can_run_tasks(spool) and not _is_starting(spool):
        yield from _nothing_runs(spool)
    for facts in _different_facts(spool):
        yield from _set_up(spool, facts)


def _living(spool: Spool, role: str) -> list[Card]:
    return [card for card, alive in cards(spool) if alive and card.role == role]


def _handler_taken(spool: Spool) -> Iterator[Problem]:
    """Yield the spoolers that imported our worker and never call it."""
    at_work = {card.pid for card in _living(spool, SUPERVISOR)}
    for card in _living(spool, SPOOLER):
        if card.pid not in at_work and _is_up(card):
            yield Problem(
                "handler-taken",
                _(
                    "uWSGI's spooler %(pid)s has imported django_spooler.worker, and does not call"
                    " it: another library has set uwsgi.spooler since. %(waiting)s"
                )
                % {"pid": card.pid, "waiting": _waiting(spool)},
                _import_last(),
            )


def _import_last() -> str:
    return _(
        "%(line)s as the last line of its kind, so that it takes the handler after the other"
        " library; what is not ours is handed on to that one"
    ) % {"line": _LAZY_IMPORT}


def _nothing_runs(spool: Spool) -> Iterator[Problem]:
    """Yield the likeliest reason why no process runs the directory's tasks."""
    supervisors = _living(spool, SUPERVISOR)
    spoolers = list(machine.uwsgi_processes(spool.directory))
    if supervisors:
        yield Problem(
            "no-runner",
            _(
                "Process %(pid)s serves %(directory)s, and cannot start one that runs tasks."
                " %(waiting)s"
            )
            % {
                "pid": supervisors[0].pid,
                "directory": spool.directory,
                "waiting": _waiting(spool),
            },
            _("Its log says why. Then: python manage.py spooler reload"),
        )
    elif spoolers:
        yield _without_our_worker(spool, spoolers[0])
    else:
        yield _nobody(spool)


def _without_our_worker(spool: Spool, spooler: machine.UwsgiProcess) -> Problem:
    servers = _living(spool, SERVER)
    facts = {"pid": spooler.pid, "directory": spool.directory, "waiting": _waiting(spool)}
    if any(not card.facts.get("spoolers_import", True) for card in servers):
        return Problem(
            "worker-not-imported",
            _(
                "uWSGI's spooler %(pid)s stands in %(directory)s without django_spooler.worker: with"
                " lazy-apps, import is for the web workers only. %(waiting)s"
            )
            % facts,
            _LAZY_IMPORT,
        )
    if servers:
        return Problem(
            "handler-taken",
            _(
                "uWSGI's spooler %(pid)s stands in %(directory)s, and django_spooler.worker is not"
                " at work in it, though its server imported it: another library has set"
                " uwsgi.spooler or uwsgi.post_fork_hook since. %(waiting)s"
            )
            % facts,
            _import_last(),
        )
    return Problem(
        "worker-not-imported",
        _(
            "uWSGI's spooler %(pid)s stands in %(directory)s without django_spooler.worker: uWSGI"
            " was not told to import it, or that failed, as its log would say right at the start."
            " %(waiting)s"
        )
        % facts,
        f"{_IMPORT}\n{_LAZY_IMPORT}",
    )


def _nobody(spool: Spool) -> Problem:
    facts = {"directory": spool.directory, "waiting": _waiting(spool)}
    for place, card in _served_elsewhere(spool):
        return Problem(
            "other-directory",
            _(
                "No process serves %(directory)s. This site's uWSGI serves %(other)s (process"
                " %(pid)s). %(waiting)s"
            )
            % {**facts, "other": place, "pid": card.pid},
            f"OPTIONS = {{'SPOOLERS': {{'default': {place!r}}}}}",
        )
    return Problem(
        "no-spooler",
        _(
            "No process serves %(directory)s. %(waiting)s (If uWSGI serves another one for this"
            " site, set OPTIONS['SPOOLERS'] = {'default': that one}.)"
        )
        % facts,
        f"spooler = {spool.directory}\n{_IMPORT}\n{_LAZY_IMPORT}",
    )


def _served_elsewhere(spool: Spool) -> Iterator[tuple[str, Card]]:
    """Yield the other directories on this machine that uWSGI serves for this site."""
    for process in machine.uwsgi_processes():
        place = process.directory
        if place != spool.directory and is_directory(os.path.join(place, TREE)):
            for card in _living(Spool(place), SPOOLER):
                if card.facts.get("site") == site_identity():
                    yield place, card


def _waiting(spool: Spool) -> str:
    number = count(spool, "ready", COUNTED)
    if number:
        return _("Tasks that wait: %(count)s.") % {"count": capped(number)}
    return _("Nothing waits yet.")


def _is_starting(spool: Spool) -> bool:
    roles = {card.role: _is_up(card) for card, alive in cards(spool) if alive}
    return RUNNER not in roles and not all(roles.values())


def _is_up(card: Card) -> bool:
    return time.time() - card.since > START_SECONDS


# How the uWSGI is set up


def _different_facts(spool: Spool) -> list[Card]:
    """Return one spooler for each set-up that there is."""
    return list({repr(card.facts): card for card in _living(spool, SPOOLER)}.values())


def _set_up(spool: Spool, card: Card) -> Iterator[Problem]:
    facts, where = card.facts, {"pid": card.pid, "directory": spool.directory}
    if facts.get("threads") is False:
        yield Problem(
            "no-threads",
            _(
                "uWSGI, whose spooler %(pid)s serves %(directory)s, runs without threads: one that"
                " the site starts (a monitoring tool's, a client library's) stands still in a web"
                " worker between two requests."
            )
            % where,
            "enable-threads = true",
        )
    if facts.get("ordered") is False and (message := _not_ordered(spool, where)):
        yield Problem("not-ordered", message, "spooler-ordered = true")
    if facts.get("version", package_version()) != package_version():
        yield Problem(
            "versions",
            _(
                "uWSGI, whose spooler %(pid)s serves %(directory)s, runs django-spooler %(theirs)s,"
                " and this process %(ours)s."
            )
            % {**where, "theirs": _told(facts["version"]), "ours": _told(package_version())},
            _("Reload uWSGI, so that it loads what is installed now."),
        )
    if _version(facts.get("uwsgi")) < _OLDEST_UWSGI:
        yield Problem(
            "versions",
            _(
                "uWSGI, whose spooler %(pid)s serves %(directory)s, is version %(version)s;"
                " django-spooler needs 2.0.28."
            )
            % {**where, "version": _told(facts.get("uwsgi"))},
            "pip install 'uWSGI>=2.0.28'",
        )


def _not_ordered(spool: Spool, where: dict[str, object]) -> str | None:
    """Return what goes wrong, or would, without ``spooler-ordered``; None where nobody asks for it."""
    if stuck := _numbered(spool):
        return _(
            "uWSGI, whose spooler %(pid)s serves %(directory)s, has no spooler-ordered: the"
            " tasks with a priority that another library put into %(numbered)s are never looked"
            " at."
        ) % {**where, "numbered": os.path.join(spool.directory, stuck)}
    used = priorities(spool) - {0, canary.PRIORITY}  # the doctor's own tells nothing
    if used:
        return _(
            "uWSGI, whose spooler %(pid)s serves %(directory)s, has no spooler-ordered, and"
            " tasks here have priorities (%(priorities)s). Those of django-spooler run in their"
            " order all the same. But uWSGI's own loop would never run what another library"
            " gives a priority=, and a damaged file that comes in beside a due task of another"
            " library could be lost."
        ) % {**where, "priorities": ", ".join(map(str, sorted(used)))}
    return None


def _numbered(spool: Spool) -> str | None:
    """Return a directory of another library's priority that holds tasks."""
    for name in os.listdir(spool.directory):
        path = os.path.join(spool.directory, name)
        if name.isdigit() and is_directory(path) and os.listdir(path):
            return name
    return None


def _told(version: object) -> str:
    return printable(str(version)[:100]) or _("(a checkout)")


def _version(text: object) -> tuple[int, ...]:
    """Return a version's numbers; one that cannot be read is taken for a new one."""
    try:
        return tuple(int(part) for part in str(text).split("-")[0].split(".")[:3])
    except ValueError:
        return _OLDEST_UWSGI
