"""What nobody waits for: old failed tasks, and what killed producers left in ``tmp``."""

import contextlib
import os
import shutil
import time

from .spool.directory import Spool, names_in

_ABANDONED = 3600.0
"""Seconds after which an unfinished file is nobody's any more."""


def tidy(spool: Spool, *, max_age: float | None, max_count: int | None) -> None:
    """Discard failed tasks older than ``max_age`` seconds or beyond the ``max_count`` newest.

    None keeps them all. Files that never became a task are removed after an hour.
    """
    _remove_abandoned(spool)
    if max_age is None and max_count is None:
        return
    newest_first = sorted(spool.failed(), key=lambda entry: entry[2].at, reverse=True)
    oldest = 0.0 if max_age is None else time.time() - max_age
    for number, (identifier, _, why) in enumerate(newest_first):
        if why.at < oldest or (max_count is not None and number >= max_count):
            spool.discard(identifier)


def _remove_abandoned(spool: Spool) -> None:
    before = time.time() - _ABANDONED
    for path in _unfinished(spool):
        with contextlib.suppress(OSError):
            if os.lstat(path).st_ctime >= before:
                continue
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def _unfinished(spool: Spool) -> list[str]:
    """Return the files beside which none was ever published, and failed entries without a file."""
    beside = [spool.path("tmp", name) for name in names_in(spool.path("tmp"))]
    living = set(names_in(spool.path("processes")))
    return [
        path for path in beside if os.path.basename(path).removeprefix("trace-") not in living
    ] + [
        spool.path("failed", name)
        for name in names_in(spool.path("failed"))
        if spool.failed_entry(name) is None
    ]
