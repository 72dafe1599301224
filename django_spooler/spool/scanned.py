"""The directory uWSGI scans: our bells in it, and everybody else's files.

uWSGI's loop calls our handler for a *bell*, a small valid packet that stays. Before the loop gets
on, every other file is looked at: it would delete a damaged one, and run a foreign one blindly.
"""

import contextlib
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping

from ..exceptions import DamagedTask
from .directory import Spool, StillWritten, is_directory, names_in, read_file, read_settled
from .names import PREFIX
from .packet import decode_variables, encode, split

BELL = f"{PREFIX}!django_spooler_bell_"
"""``!`` sorts before letters and digits: with ``spooler-ordered`` a bell is read first."""

_BELL_CONTENT = encode({b"django_spooler": b"bell"})

_LONG_AGO = 0
"""A bell's mtime: the loop passes over files of the future, and a clock may be set back."""

logger = logging.getLogger("django_spooler")

Verdict = str | None
"""Why a file is to be set aside, or None to leave it to the others' handler."""


def is_bell(name: str) -> bool:
    """Tell whether a file of the scanned directory is one of our bells."""
    return name.startswith(BELL)


def hang_bells(spool: Spool, number: int) -> None:
    """Make sure the directory has this many bells: one for each spooler process, none waits."""
    for index in range(number):
        path = os.path.join(spool.directory, f"{BELL}{index}")
        if _is_whole_bell(path):
            continue
        if os.path.lexists(path):  # a power cut may leave an empty one
            with contextlib.suppress(FileNotFoundError):
                spool.set_aside(path, "it stood where a bell belongs")
        beside = spool.path("tmp", f"bell-{os.getpid()}-{index}")
        try:
            with open(beside, "wb") as file:
                file.write(_BELL_CONTENT)
            os.utime(beside, (_LONG_AGO, _LONG_AGO))
            os.rename(beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise


def _is_whole_bell(path: str) -> bool:
    """Tell by its size, since a spooler may hold a lock on the file that reading would drop."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != len(_BELL_CONTENT):
        return False
    if status.st_mtime != _LONG_AGO:
        os.utime(path, (_LONG_AGO, _LONG_AGO))
    return True


class ScannedDirectory:
    """Keeps the scanned directory clean of what uWSGI's loop would delete or trip over."""

    def __init__(
        self,
        spool: Spool,
        judge: Callable[[Mapping[bytes, bytes]], Verdict],
        adopt: Callable[[str], None],
        announce: Callable[[str, str], None],
    ) -> None:
        """``judge`` says what becomes of a foreign packet; ``adopt`` takes in one of ours.

        ``adopt`` moves the file and may raise DamagedTask or StillWritten. ``announce`` gets
        name and reason of what was set aside.
        """
        self._spool = spool
        self._judge = judge
        self._adopt = adopt
        self._announce = announce
        self._seen: dict[str, tuple[int, int, int]] = {}

    def sweep(self) -> bool:
        """Look at what is new; tell whether there is something for others' handlers."""
        found, news = {}, False
        for path in self._files():
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._seen.get(path) != state:
                if not self._look_at(path):
                    continue
                news = True
            found[path] = state
        self._seen = found
        return news

    def _files(self) -> Iterator[str]:
        for directory in (self._spool.directory, *self._priority_directories()):
            for name in names_in(directory):
                if name.startswith(PREFIX) and not is_bell(name):
                    yield os.path.join(directory, name)

    def _priority_directories(self) -> Iterator[str]:
        """Yield the sub-directories that ``spooler-ordered`` descends into."""
        for name in names_in(self._spool.directory):
            path = os.path.join(self._spool.directory, name)
            if name.isascii() and name.isdigit() and is_directory(path):
                yield path

    def _look_at(self, path: str) -> bool:
        """Move a file that is ours or nobody's; tell whether it stays."""
        try:
            variables = read_settled(path, _read_variables)
            if variables.get(b"django_spooler") is not None:
                self._adopt(path)
                return False
            verdict = self._judge(variables)
        except StillWritten:
            return False
        except DamagedTask as error:
            verdict = f"DamagedTask: {error}"
        except FileNotFoundError:
            return False
        if verdict is None:
            return True
        try:
            self._set_aside(path, verdict)
        except PermissionError as error:
            logger.error("%r cannot be set aside (%s): %s", path, error.strerror, verdict)
            return True
        return False

    def _set_aside(self, path: str, verdict: str) -> None:
        with contextlib.suppress(FileNotFoundError), _not_in_use(path) as free:
            if free:
                self._spool.set_aside(path, verdict)
                self._announce(os.path.basename(path), verdict)


def _read_variables(path: str) -> dict[bytes, bytes]:
    encoded, _ = split(read_file(path))
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
