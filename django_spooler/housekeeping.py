"""What nobody waits for: old failed tasks, and what killed producers left in ``tmp``."""

import contextlib
import logging
import os
import time

from .exceptions import SpoolUnavailable
from .spool.directory import Spool
from .spool.files import names_in
from .spool.unfinished import WORDS, is_unfinished

logger = logging.getLogger("django_spooler")

_ABANDONED = 3600.0
"""Seconds after which an unfinished file is nobody's any more."""


def tidy(spool: Spool, *, max_age: float | None, max_count: int | None) -> None:
    """Discard failed tasks older than ``max_age`` seconds or beyond the ``max_count`` newest.

    None keeps them all. Files that never became a task are removed after an hour.
    """
    _remove_abandoned(spool, time.time() - _ABANDONED)
    spool.discard_unfinished(time.time() - _ABANDONED)
    if max_age is None and max_count is None:
        return
    newest_first = sorted(spool.failed_times(), reverse=True)
    oldest = 0.0 if max_age is None else time.time() - max_age
    for number, (failed_at, identifier) in enumerate(newest_first):
        if failed_at < oldest or (max_count is not None and number >= max_count):
            try:
                spool.discard(identifier)
            except SpoolUnavailable as error:
                logger.error("Failed task %s cannot be discarded: %s", identifier, error)


def _remove_abandoned(spool: Spool, before: float) -> None:
    """Remove what nobody finished in ``tmp``; a living process's last words are not of that."""
    living = {f"{WORDS}{name}" for name in names_in(spool.path("processes"))}
    for name in names_in(spool.path("tmp")):
        path = spool.path("tmp", name)
        with contextlib.suppress(OSError):
            is_old = name not in living and os.lstat(path).st_ctime < before
            if is_old and is_unfinished(path):
                os.unlink(path)
