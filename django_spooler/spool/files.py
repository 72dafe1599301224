"""What is done with single files and directories, whatever they are in the spool.

In a process that uWSGI's spooler runs in, files of the scanned directory are only moved, never
opened: closing one drops the lock uWSGI holds on it.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from ..exceptions import DamagedTask

MAX_FILE_SIZE = 1 << 30
"""Bytes; uWSGI writes a body with one ``write``, which Linux ends short of 2 GiB."""
T = TypeVar("T")
_EMPTY_GRACE = 5.0
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FILE_AT_FAULT = (
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENXIO,
    errno.EISDIR,
    errno.ESPIPE,
)
_SMALL = 4096
"""Bytes of a file that is read without a question about it; most tasks are smaller."""


def read_file(path: str, most: int = MAX_FILE_SIZE) -> bytes:
    """Return a task file's content, or its first ``most`` bytes.

    Raise DamagedTask for what is no regular file or over 1 GiB, OSError where it cannot be read.
    """
    try:
        descriptor = os.open(path, _TO_READ)
        try:
            # Only a file, or a device of root's, can be read at a position.
            content = os.pread(descriptor, min(_SMALL, most), 0)
            return content if 0 < len(content) < _SMALL else _read_large(descriptor, most)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _FILE_AT_FAULT:
            raise
        if kind := _kind(os.lstat(path)):
            raise DamagedTask(f"it is {kind}, not a file") from error
        raise DamagedTask(f"it is unreadable: {error.strerror}") from error


class StillWritten(Exception):
    """A file is not whole yet, and its producer may be at work."""


def read_settled(path: str, reader: Callable[[str], T]) -> T:
    """Return ``reader(path)``, believing in damage only once nobody writes into the file any more.

    What was cut short at the first look may be whole by the time its producer is seen to be gone,
    so only a second look counts. Raise StillWritten where there may be more to come.
    """
    try:
        return reader(path)
    except DamagedTask:
        if is_still_written(path):
            raise StillWritten(path) from None
        return reader(path)


def is_still_written(path: str) -> bool:
    """Tell whether a producer may be about to write more into the file.

    uWSGI's producer opens, then locks, then writes: a lock says so, and an empty file does for its
    first seconds. The mtime tells when it was made: a claim moves the ctime on, and a producer sets
    the mtime only behind its last write.
    """
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            status = os.fstat(file.fileno())
    except BlockingIOError:
        return True
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    return abs(time.time() - status.st_mtime) < _EMPTY_GRACE


def open_without_waiting(path: str, flags: int) -> int:
    """Open a file of the tree for ``open(opener=)``; a FIFO holds nobody up, a link leads nowhere."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def make_directories(path: str) -> None:
    """Make a directory and those that lead to it, where they are missing."""
    if os.path.isdir(path):
        return
    make_directories(os.path.dirname(os.path.abspath(path)))
    try:
        make_directory(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def make_directory(path: str) -> None:
    """Make a directory with mode 750. Raise FileExistsError where something stands there.

    It belongs to whoever the one it is made in belongs to: a shell of root's shall not lock the
    site's user out.
    """
    os.mkdir(path, 0o750)
    if os.geteuid() == 0:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _hand_over(descriptor, path)
        finally:
            os.close(descriptor)


def private(path: str, flags: int) -> int:
    """Open a file that is written, for ``open(opener=)``: with mode 640, and no link leads elsewhere.

    A new one ("x") belongs to whoever its directory belongs to.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o640)
    if flags & os.O_EXCL and os.geteuid() == 0:
        try:
            _hand_over(descriptor, path)
        except OSError:
            os.close(descriptor)
            os.unlink(path)
            raise
    return descriptor


def write_whole(path: str, content: bytes, *, beside: str, mtime: float | None = None) -> None:
    """Write a file ``beside`` and rename it, so that nobody ever reads half of it.

    ``mtime`` is in seconds since the epoch, None for now. Raise OSError and leave nothing behind
    where that cannot be done.
    """
    try:
        with open(beside, "wb", opener=private) as file:
            file.write(content)
        if mtime is not None:
            os.utime(beside, (mtime, mtime))
        os.rename(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _hand_over(descriptor: int, path: str) -> None:
    parent = os.stat(os.path.dirname(path))
    if parent.st_uid != 0:
        os.fchown(descriptor, parent.st_uid, parent.st_gid)


def _read_large(descriptor: int, most: int) -> bytes:
    status = os.fstat(descriptor)
    if kind := _kind(status):
        raise DamagedTask(f"it is {kind}, not a file")
    if status.st_size > MAX_FILE_SIZE:
        raise DamagedTask(f"{status.st_size} bytes are more than any task of ours has")
    size = min(status.st_size, most)
    content = os.read(descriptor, size)
    while len(content) < size and (more := os.read(descriptor, size - len(content))):
        content += more
    return content


def set_due(path: str, due: float) -> None:
    """Note in the file's mtime when its task is due (seconds since the epoch)."""
    nanoseconds = int(due * 1_000_000) * 1000
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def begin_to_sync(descriptor: int) -> None:
    """Have the system write a file to its disk from now on, so that many are waited for together.

    Pages that are said not to be needed are written before they are dropped. Source:
    ``mm/fadvise.c`` of Linux.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_way_to(directory: str) -> None:
    """Bring the entries that lead to a directory to the disk, from its file system's root on.

    Whoever may not read one of the directories cannot sync it alone: then everything is synced.
    """
    directory = os.path.realpath(directory)
    while not os.path.ismount(directory):
        directory = os.path.dirname(directory)
        try:
            sync_directory(directory)
        except PermissionError:
            os.sync()
            return


def move(path: str, target: str) -> None:
    """Rename; a directory changes its parent only while its owner may write into it."""
    try:
        os.rename(path, target)
    except PermissionError:
        if not is_directory(path):
            raise
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        os.chmod(path, mode | stat.S_IRWXU)
        try:
            os.rename(path, target)
        except BaseException:
            os.chmod(path, mode)
            raise
        os.chmod(target, mode)


def is_directory(path: str) -> bool:
    """Tell whether a directory stands there, and no link to one. Raise OSError if unknown."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_gone(path: str) -> bool:
    """Tell whether nothing stands there for sure."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def is_stray(path: str) -> bool:
    """Tell whether something else stands where a directory belongs; what is just gone does not.

    Raise OSError if unknown.
    """
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def modified(path: str) -> float:
    """Return a file's mtime (seconds since the epoch), 0 where it cannot be asked for."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def names_in(directory: str) -> list[str]:
    """Return the names in a directory, none where there is no such directory."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def names_if_open(directory: str) -> list[str]:
    """Return the names in a directory that may be another user's, none where it is closed to us."""
    try:
        return names_in(directory)
    except PermissionError:
        if not is_closed(directory):
            raise
        return []


def is_closed(directory: str) -> bool:
    """Tell whether its owner lets this process not look into a directory."""
    return is_directory(directory) and not os.access(directory, os.R_OK | os.X_OK)


def _kind(status: os.stat_result) -> str:
    """Return what stands there instead of a file, in words; "" for a file."""
    if stat.S_ISREG(status.st_mode):
        return ""
    return next(kind for test, kind in _KINDS if test(status.st_mode))


_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
