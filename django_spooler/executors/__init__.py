"""The ways out of ``enqueue``, and which one is taken."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import ModuleType

from ..conf import Options, default_directory
from ..embedded import uwsgi_module
from ..exceptions import NoSpooler
from .base import Executor, Submission
from .file import FileExecutor
from .remote import RemoteExecutor
from .uwsgi import UwsgiExecutor

__all__ = [
    "Executor",
    "Submission",
    "choose",
    "directories",
    "leave_to_spoolers",
    "serve_from_here",
]

WORKER = "django_spooler.worker"
"""What uWSGI's spoolers have to import."""

logger = logging.getLogger("django_spooler")

_serving = False


def serve_from_here() -> None:
    """Say that this process is a plain worker: what its tasks enqueue goes to the spool."""
    global _serving
    _serving = True


@contextmanager
def leave_to_spoolers() -> Iterator[None]:
    """Let what is enqueued meanwhile go to the spool, whatever OUTSIDE_UWSGI says."""
    global _serving
    before, _serving = _serving, True
    try:
        yield
    finally:
        _serving = before


def choose(options: Options, queue: str) -> Executor:
    """Return the way a task of ``queue`` takes from this process.

    Raise NoSpooler where nothing would ever run it.
    """
    uwsgi = uwsgi_module()
    if uwsgi is not None:
        return _under_uwsgi(uwsgi, options.spooler_for(queue), queue)
    if _serving or options.OUTSIDE_UWSGI == "spool":
        return _outside_uwsgi(options, queue)
    if options.OUTSIDE_UWSGI == "inline":
        from .inline import InlineExecutor  # what runs tasks is not loaded where none is run

        return InlineExecutor()
    raise NoSpooler(
        f"A task for queue {queue!r} was enqueued outside uWSGI, and OPTIONS['OUTSIDE_UWSGI'] is"
        ' "error". Serve the site with uWSGI, or set it to "inline" (run at once, in this process)'
        ' or "spool" (write the file for a running spooler).'
    )


def directories(options: Options, queues: set[str]) -> dict[str, list[str]]:
    """Return each local spool directory of the settings and the queues it serves."""
    found: dict[str, list[str]] = {}
    for queue in sorted(queues or {"default", *options.SPOOLERS}):
        place = options.spooler_for(queue)
        if place is None:
            uwsgi = uwsgi_module()
            known = _spoolers(uwsgi) if uwsgi else []
            place = known[0] if known else str(default_directory())
        if not place.startswith("uwsgi://"):
            found.setdefault(os.path.realpath(place), []).append(queue)
    return found


@lru_cache(maxsize=1024)
def _under_uwsgi(uwsgi: ModuleType, place: str | None, queue: str) -> Executor:
    known = _spoolers(uwsgi)
    if place is None:
        if known:
            return _uwsgi_executor(uwsgi, known[0])
        raise NoSpooler(
            f"A task for queue {queue!r} was enqueued, but this uWSGI runs without a spooler. Add to"
            " its configuration: spooler = /absolute/path/to/spool and import ="
            " django_spooler.worker; or name a directory that others serve in OPTIONS['SPOOLERS']."
        )
    if place.startswith("uwsgi://"):
        return RemoteExecutor(place)
    directory = os.path.realpath(place)
    return _uwsgi_executor(uwsgi, directory) if directory in known else FileExecutor(directory)


def _outside_uwsgi(options: Options, queue: str) -> Executor:
    place = options.spooler_for(queue) or str(default_directory())
    return RemoteExecutor(place) if place.startswith("uwsgi://") else FileExecutor(place)


@cache
def _uwsgi_executor(uwsgi: ModuleType, directory: str) -> UwsgiExecutor:
    _warn_where_nobody_runs_tasks(uwsgi)
    return UwsgiExecutor(uwsgi, directory)


def _warn_where_nobody_runs_tasks(uwsgi: ModuleType) -> None:
    """Say so, once in each process, where uWSGI was not told to import our worker, or failed to."""
    elsewhere = ("spooler-external", "spooler-import", "spooler-python-import")
    if WORKER in sys.modules or any(uwsgi.opt.get(option) for option in elsewhere):
        return
    logger.warning(
        "This uWSGI accepts tasks and runs none: %s is not imported. Add to its configuration:"
        " import = %s. If it stands there, the log of the start says why it failed.",
        WORKER,
        WORKER,
    )


@cache
def _spoolers(uwsgi: ModuleType) -> list[str]:
    known = getattr(uwsgi, "spoolers", ()) if hasattr(uwsgi, "spool") else ()
    return [os.fsdecode(directory) for directory in known]
