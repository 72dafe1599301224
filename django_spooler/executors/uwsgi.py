"""Out through ``uwsgi.spool``: the way from a web worker, or from another task."""

import contextlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from types import ModuleType

from ..spool.directory import Spool
from ..spool.files import make_directories, set_due
from ..spool.packet import MARK, encode
from .base import Executor, Submission

_REFUSED_PAUSE = 1.0
"""Seconds without ``uwsgi.spool`` after it has failed."""

_MADE_MAX = 1000
"""Directories remembered as made; each minute that something is scheduled for has one."""


class UwsgiExecutor(Executor):
    """Lets uWSGI write the file into our tree, which its own loop does not scan.

    ``uwsgi.spool`` takes a path as ``priority``, makes its last directory and writes the file
    there; ``body`` has no 64 KiB limit. It shows the file before it is whole, so one that is to
    be on the disk first (``FSYNC``) is published by us. Source: ``uwsgi_spool_request`` in
    ``core/spooler.c``.
    """

    def __init__(self, uwsgi: ModuleType, directory: str) -> None:
        self._uwsgi = uwsgi
        self._directory = os.fsencode(directory)
        self._own = Spool(directory)
        self._made: dict[str, bytes] = {}
        self._refused_until = 0.0

    def put(self, submission: Submission) -> None:
        """Spool the submission. Raise SpoolUnavailable where the directory refuses it."""
        if submission.options.FSYNC:
            self._own.publish_together([submission.draft], fsync=True)
            return
        due = submission.due(time.time())
        path = self._spool(submission, due)
        if due is not None:
            _set_exact_time(path, due)

    def put_all(self, submissions: Sequence[Submission]) -> Iterator[Submission]:
        """Spool them all. Raise SpoolUnavailable: with ``FSYNC`` none is kept but those it counts."""
        if not submissions[0].options.FSYNC:
            return super().put_all(submissions)
        self._own.publish_together([submission.draft for submission in submissions], fsync=True)
        return iter(submissions)

    def _spool(self, submission: Submission, due: float | None) -> bytes | str:
        place, body = submission.place, submission.body
        target = place.ready if due is None else place.scheduled(due)
        variables = {
            **MARK,
            b"spooler": self._directory,
            b"priority": self._made.get(target) or self._make(target),
            b"body": body,
        }
        if due is not None:
            # Whole seconds only, so the next one: a file is never due too early.
            variables[b"at"] = str(math.ceil(due)).encode()
        # What it cannot write it takes back, but not from a runner that has claimed it meanwhile: on
        # a full disk each try could leave an empty file in ``failed``.
        if not self._refused_until or time.monotonic() >= self._refused_until:
            try:
                return self._uwsgi.spool(variables)  # type: ignore[no-any-return]
            except ValueError:
                self._refused_until = time.monotonic() + _REFUSED_PAUSE
                self._made.clear()
        # It tells no cause, only its log does. Our own writer either succeeds or knows.
        return self._own.publish(encode(MARK, body), place, due=due)

    def _make(self, target: str) -> bytes:
        """Make what uWSGI expects to be there, and return its path below the spool directory.

        Where that fails, so does ``uwsgi.spool``, which makes only the last directory itself, for
        everybody to read.
        """
        if len(self._made) >= _MADE_MAX:
            self._made.clear()
        encoded = os.fsencode(target)
        with contextlib.suppress(OSError):
            make_directories(os.path.join(self._own.directory, target))
            self._made[target] = encoded
        return encoded


def _set_exact_time(path: bytes | str, due: float) -> None:
    # It may be on its way already; and uWSGI has set the time, up to a second later.
    with contextlib.suppress(OSError):
        set_due(os.fsdecode(path), due)
