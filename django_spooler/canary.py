"""A task that does nothing, sent the way every task goes: it shows that the queue moves."""

import os
import time
from dataclasses import dataclass

from .compat import AnyTask
from .operations import discard
from .overview import find_file
from .own import own_submission, own_task
from .spool.directory import Spool
from .spool.files import names_in
from .spool.listing import files

PRIORITY = 100
"""The highest: it waits for a free process, and not for what was enqueued before."""

_LOOK_PAUSE = 0.0005
_FAILED_PAUSE = 0.05
"""Seconds between two looks; there is no event across processes for the end of a task."""

_NEWEST = 100
"""Failed tasks among which it is looked for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one that was sent: it was run, it failed, or nobody took it in time."""

    milliseconds: float | None = None
    reason: str | None = None
    """Why it stood in ``failed``."""


def canary() -> None:
    """Do nothing: that it was run is all that is asked."""


def canary_task() -> AnyTask | None:
    """Return the task, known from now on; None where no backend of the site is ours."""
    return own_task(canary, max_attempts=1)


def send(task: AnyTask, spool: Spool, queue: str, seconds: float) -> Sent:
    """Publish the task for a queue, wait for its end for so many seconds, and leave nothing behind.

    Raise SpoolUnavailable where the directory does not take it.
    """
    submission = own_submission(task, queue=queue, priority=PRIORITY)
    start = time.monotonic()
    (path,) = spool.publish_together([submission.draft])
    sent = None
    try:
        sent = _wait(spool, path, start, start + seconds)
    finally:
        if sent is None or sent.milliseconds is None:
            _discard(spool, path, submission.message.id)
    return sent


def _wait(spool: Spool, path: str, start: float, until: float) -> Sent:
    descriptor = _open(spool, path)
    if descriptor is None:
        failed = _failed(spool, path)
        return Sent(reason=failed[1]) if failed else _was_run(start)
    try:
        look_at_failed = start
        while os.fstat(descriptor).st_nlink:
            now = time.monotonic()
            if now > until:
                return Sent()
            if now > look_at_failed:
                look_at_failed = now + _FAILED_PAUSE
                if failed := _failed(spool, path):
                    return Sent(reason=failed[1])
            time.sleep(_LOOK_PAUSE)
        return _was_run(start)
    finally:
        os.close(descriptor)


def _was_run(start: float) -> Sent:
    return Sent(milliseconds=(time.monotonic() - start) * 1000)


def _discard(spool: Spool, path: str, identifier: str) -> None:
    """Delete the file wherever it waits or failed; where it runs, it is about to end."""
    if failed := _failed(spool, path):
        spool.discard(failed[0])
    elif file := find_file(spool, identifier):
        discard(spool, file)


def _failed(spool: Spool, path: str) -> tuple[str, str] | None:
    """Return id and reason of the file in ``failed``, None where it does not stand there.

    What is not believed does not stand there under its own id.
    """
    for identifier in sorted(names_in(spool.path("failed")), reverse=True)[:_NEWEST]:
        entry = spool.failed_entry(identifier)
        if entry and os.path.basename(entry[0]) == os.path.basename(path):
            return identifier, entry[1].reason
    return None


def _open(spool: Spool, path: str) -> int | None:
    """Open the file where it was written or is claimed by now; None where it is neither.

    The descriptor outlasts each move, and the file has no name left once its task is done.
    """
    name = os.path.basename(path)
    claimed = (file.path for file in files(spool, "running") if file.name == name)
    for place in (path, *claimed):
        try:
            return os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
    return None
