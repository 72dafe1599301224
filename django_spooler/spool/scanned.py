"""The directory uWSGI scans: our bells in it, and everybody else's files.

uWSGI's loop calls our handler for a *bell*, a small valid packet that stays. Before the loop gets
on, every other file it would read is looked at: it would delete a damaged one, and run a foreign
one blindly. Files of names that uWSGI does not read are not ours to judge.

With ``spooler-ordered`` the loop lists a directory, then goes through what it has listed: numbers
first, as files of the directory itself or as directories of priorities. So there the first of all
is a bell of zeros, a *guard*: by the time the loop comes to another file, that has been looked at.
Source: ``spooler_scandir`` and ``spooler_manage_task`` in uWSGI's ``core/spooler.c``.
"""

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping

from ..exceptions import DamagedTask
from .directory import Spool, is_spool_name
from .files import (
    StillWritten,
    is_directory,
    names_if_open,
    names_in,
    read_file,
    read_settled,
    write_whole,
)
from .names import PREFIX
from .packet import BELL, HEADER_SIZE, MAX_SIZE, NAME, decode_variables, split
from .place import is_number
from .unfinished import UNFINISHED_BELL

_BELL = f"{PREFIX}!django_spooler_bell_"
"""``!`` sorts before letters and digits: with ``spooler-ordered`` a bell is read early."""

_GUARD = "0" * 20
"""Numbers sort by their leading zeros, the more the earlier; nobody's priority has as many."""

_LONG_AGO = 0
"""A bell's mtime: the loop passes over files of the future, and a clock may be set back."""

logger = logging.getLogger("django_spooler")

Verdict = str | None
"""Why a file is to be set aside, or None to leave it to the others' handler."""


def is_bell(name: str) -> bool:
    """Tell whether uWSGI's loop came to one of our bells, and may be kept for a while."""
    return name.startswith(_BELL)


def is_guard(name: str) -> bool:
    """Tell whether uWSGI's loop came to a guard, and is about to go through a directory."""
    return name.startswith(_GUARD) and is_number(name)


def hang_bells(spool: Spool, number: int) -> None:
    """Make sure the directory has this many bells: one for each spooler process, none waits."""
    for index in range(number):
        _hang(spool, os.path.join(spool.directory, f"{_BELL}{index}"))
    for directory in scanned_directories(spool):
        with contextlib.suppress(PermissionError):  # another user's, where no loop of ours deletes
            for index in range(number):
                _hang(spool, os.path.join(directory, f"{_GUARD}{'0' * index}"))


def _hang(spool: Spool, path: str) -> None:
    if _is_whole_bell(path):
        return
    if os.path.lexists(path):  # a power cut may leave an empty one
        with contextlib.suppress(FileNotFoundError):
            spool.set_foreign_aside(path, "it stood where a bell belongs")
    beside = spool.path("tmp", f"{UNFINISHED_BELL}{os.getpid()}")
    write_whole(path, BELL, beside=beside, mtime=_LONG_AGO)


def _is_whole_bell(path: str) -> bool:
    """Tell by its size, since a spooler may hold a lock on the file that reading would drop."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != len(BELL):
        return False
    if status.st_mtime != _LONG_AGO:
        os.utime(path, (_LONG_AGO, _LONG_AGO))
    return True


def scanned_directories(spool: Spool) -> Iterator[str]:
    """Yield the spool directory and what ``spooler-ordered`` descends into below it."""
    yield spool.directory
    for name in names_in(spool.directory):
        path = os.path.join(spool.directory, name)
        if is_number(name) and is_directory(path):
            yield path


def scanned_files(spool: Spool) -> Iterator[str]:
    """Yield the paths that uWSGI's loop reads as files, bells and guards among them."""
    for directory in scanned_directories(spool):
        is_top = directory == spool.directory
        for name in names_if_open(directory):
            path = os.path.join(directory, name)
            is_entered = is_top and is_number(name) and is_directory(path)
            if is_spool_name(name) and not is_entered:
                yield path


class ScannedDirectory:
    """Keeps the scanned directory clean of what uWSGI's loop would delete or trip over."""

    def __init__(
        self,
        spool: Spool,
        judge: Callable[[Mapping[bytes, bytes]], Verdict],
        adopt: Callable[[str], None],
        *,
        ordered: bool,
    ) -> None:
        """``judge`` says what becomes of a foreign packet; ``adopt`` takes in one of ours.

        ``adopt`` moves the file and may raise DamagedTask or StillWritten. ``ordered`` tells whether
        uWSGI's loop descends into directories of priorities.
        """
        self._spool = spool
        self._judge = judge
        self._adopt = adopt
        self._ordered = ordered
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._others: dict[str, float] = {}
        self._untried: set[str] = set()

    @property
    def has_others(self) -> bool:
        """Whether files of other libraries are there whose time has come, tried or not."""
        now = time.time()
        return any(due <= now for due in self._others.values())

    @property
    def has_untried(self) -> bool:
        """Whether files wait that no handler of others has been called for."""
        return bool(self._untried)

    def note_try(self, name: str) -> None:
        """Take note that uWSGI's loop has come to a file of this name."""
        self._untried = {path for path in self._untried if os.path.basename(path) != name}

    def sweep(self) -> bool:
        """Look at what is new; tell whether others' handlers have something to do now."""
        found: dict[str, tuple[int, int, int]] = {}
        news = False
        for path in self._files():
            try:
                status = os.lstat(path)
            except OSError:
                continue
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._seen.get(path) != state:
                self._others.pop(path, None)
                if not self._look_at(path, status.st_mtime):
                    continue
                news = news or path in self._untried
            found[path] = state
        self._seen = found
        self._others = {path: due for path, due in self._others.items() if path in found}
        self._untried &= found.keys()
        return news

    def _files(self) -> Iterator[str]:
        for path in scanned_files(self._spool):
            name = os.path.basename(path)
            if not ((is_bell(name) or is_guard(name)) and _is_whole_bell(path)):
                yield path

    def _look_at(self, path: str, due: float) -> bool:
        """Move a file that is ours or nobody's; tell whether it stays and need not be seen again."""
        try:
            verdict = self._verdict(path)
            if verdict is None:
                self._others[path] = due
                is_reached = self._ordered or os.path.dirname(path) == self._spool.directory
                if is_reached and due <= time.time():
                    self._untried.add(path)
                return True
            self._set_aside(path, verdict)
        except (StillWritten, FileNotFoundError):
            pass
        except PermissionError as error:
            logger.error("%r cannot be moved: %s", path, error.strerror)
            return True
        except OSError as error:
            logger.error("%r cannot be looked after yet: %s", path, error.strerror)
        return False

    def _verdict(self, path: str) -> Verdict:
        """Adopt a file of ours, or judge it. Raise FileNotFoundError for what is gone then."""
        try:
            variables = read_settled(path, _read_variables)
            if NAME not in variables:
                return self._judge(variables)
            self._adopt(path)
        except DamagedTask as error:
            return f"DamagedTask: {error}"
        raise FileNotFoundError(path)

    def _set_aside(self, path: str, verdict: str) -> None:
        with _not_in_use(path) as free:
            if free:
                self._spool.set_foreign_aside(path, verdict)


def _read_variables(path: str) -> dict[bytes, bytes]:
    encoded, _ = split(read_file(path, HEADER_SIZE + MAX_SIZE))
    return decode_variables(encoded)


@contextlib.contextmanager
def _not_in_use(path: str) -> Iterator[bool]:
    """Hold the lock uWSGI's loop would take, so that it does not read the file meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError:  # a link, a directory, a FIFO, no rights: the loop cannot read it either
        yield True
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
