"""The backends of ours among the site's TASKS, for what runs or shows tasks rather than enqueues."""

from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from . import executors
from .backend import spooler_backends
from .conf import Options


@cache
def options_of(alias: str) -> Options:
    """Return the options of the backend a message came from, else of the first that is ours."""
    backends = spooler_backends()
    named = [backend for backend in backends if backend.alias == alias]
    return next((backend.spooler_options for backend in named + backends), Options())


def process_options() -> Options:
    """Return the options that concern a whole process: those of the first backend of ours.

    Raise InvalidOptions where the settings of any are wrong.
    """
    options = [backend.spooler_options for backend in spooler_backends()]
    return options[0] if options else Options()


def queue_names() -> set[str] | None:
    """Return the queues of the site's backends, None where one of them takes any name."""
    backends = spooler_backends()
    if not all(backend.queues for backend in backends):
        return None
    return {queue for backend in backends for queue in backend.queues}


def served_directories() -> dict[str, list[str]]:
    """Return each local spool directory of the site and the queues that go to it.

    Raise InvalidOptions where the settings name none.
    """
    found: dict[str, list[str]] = {}
    for backend in spooler_backends():
        for directory, queues in executors.directories(
            backend.spooler_options, backend.queues
        ).items():
            found.setdefault(directory, []).extend(queues)
    return {directory: sorted(set(queues)) for directory, queues in found.items()}


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        options_of.cache_clear()
