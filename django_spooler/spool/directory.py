"""One spool directory: where a task's file stands is its state, and every verb is a move.

::

    <directory>/                               scanned by uWSGI: bells, and other libraries' tasks
    <directory>/django/ready/<queue>/<level>/            waiting, level = 100 - priority
    <directory>/django/scheduled/<queue>/<level>/<minute>/   waiting for the time in its mtime
    <directory>/django/running/<process>/                claimed by a process
    <directory>/django/failed/<id>/                      set aside, with the reason beside it
    <directory>/django/paused/<queue>                    a mark: nothing of the queue is claimed
    <directory>/django/processes/<process>               a locked card per living process
    <directory>/django/tmp/                              files not yet whole

Nothing else in the package renames, links or unlinks a task's file. In a process that uWSGI's
spooler runs in, files of the scanned directory are only moved, never opened: closing one drops the
lock uWSGI holds on it.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import NoneType
from typing import TypeVar

from ..exceptions import DamagedTask, SpoolUnavailable
from .names import PREFIX, TaskName, new_base

TREE = "django"
MAX_FILE_SIZE = 1 << 30
"""Bytes; uWSGI writes a body with one ``write``, which Linux ends short of 2 GiB."""

ALL_QUEUES = ";all"
"""The mark that pauses every queue; no queue can have this name."""

T = TypeVar("T")

_EMPTY_GRACE = 5.0
_FILE_AT_FAULT = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EISDIR)
ASTRAY = "it stood where no task belongs"
"""The reason given for what is in a directory of the tree that holds no such thing."""

_WHY = ";why"
_ID = re.compile("[0-9A-Za-z]{1,64}")
_NAME_MAX = 255
"""Bytes a file's name has at most, on Linux's file systems."""

_durable: set[tuple[str, int]] = set()
"""Directories, by path and inode, whose way from the spool directory is on the disk."""
_DURABLE_MAX = 1000

_STATES = ("ready", "scheduled", "running", "failed", "paused", "processes", "tmp")
_LEVELS = range(201)
_LATEST = 1e11
"""Seconds since the epoch that no time of ours comes near."""

_DOTS = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task belongs in the spool: its queue, and its level (100 - priority)."""

    queue: str
    level: int

    @classmethod
    def of(cls, queue: str, priority: int) -> "Place":
        """Return the place of a task of this queue and priority."""
        return cls(queue, 100 - priority)

    @property
    def priority(self) -> int:
        """The priority, -100 to 100."""
        return 100 - self.level

    @property
    def ready(self) -> str:
        """The path of its ready directory below the spool directory."""
        return f"{TREE}/ready/{self.queue}/{self.level}"

    def scheduled(self, due: float) -> str:
        """Return the path of the directory for a task due then (seconds since the epoch)."""
        return f"{TREE}/scheduled/{self.queue}/{self.level}/{int(due) // 60}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a file stands in ``failed``."""

    reason: str
    at: float
    task: str | None = None
    traceback: str = ""
    queue: str | None = None
    level: int | None = None
    numbered: str | None = None
    """The directory of another library's priority it stood in, as in "5"."""

    @property
    def is_sound(self) -> bool:
        """Whether each field is what it should be; anyone may have written the file."""
        return (
            isinstance(self.reason, str)
            and isinstance(self.traceback, str)
            and type(self.at) in (int, float)
            and -_LATEST < self.at < _LATEST
            and isinstance(self.task, (str, NoneType))
            and (self.queue is None or is_queue_name(self.queue))
            and (self.level is None or (type(self.level) is int and self.level in _LEVELS))
            and (self.numbered is None or is_number(self.numbered))
        )

    @property
    def place(self) -> Place | None:
        """Where the file stood, None for one from the scanned directory."""
        return None if self.queue is None or self.level is None else Place(self.queue, self.level)


class Spool:
    """The task files of one spool directory."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self.tree = os.path.join(self.directory, TREE)

    def __repr__(self) -> str:
        return f"Spool({self.directory!r})"

    def path(self, state: str, *parts: str) -> str:
        """Return a path below the directory of a state."""
        return os.path.join(self.tree, state, *parts)

    def prepare(self) -> None:
        """Make the tree. Raise SpoolUnavailable where that cannot be done."""
        with self._explained():
            self.make_tree()

    def make_tree(self) -> None:
        """Make the tree. Raise OSError where that cannot be done."""
        for state in _STATES:
            os.makedirs(self.path(state), mode=0o750, exist_ok=True)

    def require_access(self) -> None:
        """Raise SpoolUnavailable where this user may not look into the tree."""
        with self._explained(), contextlib.suppress(FileNotFoundError):  # nothing was put there yet
            os.scandir(self.tree).close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Tell of an error of the system in the block what it means for this directory."""
        try:
            yield
        except OSError as error:
            cause = error.strerror or str(error)
            remedy = _REMEDIES.get(error.errno or 0, "Run: python manage.py spooler status")
            raise SpoolUnavailable(
                f"Spool directory {self.directory} cannot be used: {cause}"
                f" ({error.filename or self.tree}). {remedy}."
            ) from error

    # Putting in

    def publish(
        self, content: bytes, place: Place, *, due: float | None = None, fsync: bool = False
    ) -> str:
        """Write a task's file whole, then make it visible; return its path.

        ``due`` is in seconds since the epoch; None is at once. Raise SpoolUnavailable and leave
        nothing behind where the directory does not take it. With ``fsync`` the file and every
        directory that leads to it are on the disk then.
        """
        base = new_base()
        directory = place.ready if due is None else place.scheduled(due)
        beside, target = self.path("tmp", base), os.path.join(self.directory, directory, base)
        with self._explained():
            try:
                self._write(beside, content, due, fsync)
                target = _rename_into(beside, target)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(beside)
                raise
            if fsync:
                self._make_durable(target)
        return target

    def _make_durable(self, path: str) -> None:
        """Bring a new file's entry to the disk, or take the file back.

        One that is claimed meanwhile is on its way: the sync of the directory it stood in covers
        the move out of it.
        """
        try:
            _sync_directory(os.path.dirname(path))
            self._make_way_durable(os.path.dirname(path))
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                raise

    def _make_way_durable(self, directory: str) -> None:
        """Bring the entries that lead to a directory to the disk, if this process has not yet."""
        identity = directory, os.stat(directory).st_ino
        if identity in _durable:
            return
        while len(directory) > len(self.directory):
            directory = os.path.dirname(directory)
            _sync_directory(directory)
        if len(_durable) >= _DURABLE_MAX:
            _durable.clear()
        _durable.add(identity)

    def _write(self, path: str, content: bytes, due: float | None, fsync: bool) -> None:
        try:
            file = open(path, "xb", buffering=0)
        except FileNotFoundError:
            self.make_tree()
            file = open(path, "xb", buffering=0)
        with file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            if due is not None:
                set_due(path, due)
            if fsync:
                os.fsync(file.fileno())

    # Moving

    def schedule(self, path: str, name: TaskName, place: Place, due: float) -> None:
        """Move a file to where it waits for ``due`` (seconds since the epoch)."""
        set_due(path, due)
        waiting = replace(name, ready_at=None)
        target = os.path.join(self.directory, place.scheduled(due), _fitting(waiting))
        _rename_into(path, target)

    def make_ready(self, path: str, name: TaskName, place: Place) -> None:
        """Move a file to where the next free process takes it."""
        _rename_into(path, os.path.join(self.directory, place.ready, _fitting(name)))

    def set_aside(
        self,
        path: str,
        reason: str,
        *,
        identifier: str | None = None,
        task: str | None = None,
        traceback: str = "",
        place: Place | None = None,
        name: str | None = None,
    ) -> str:
        """Move any file, link or directory to ``failed``, with the reason; return its id there.

        Its content stays to the byte and its name (``name``, where it was told apart) within the
        new path.
        """
        entry = self._new_failed_entry(identifier)
        why = Reason(
            reason=reason,
            at=time.time(),
            task=task,
            traceback=traceback,
            queue=place.queue if place else None,
            level=place.level if place else None,
            numbered=self._numbered_directory_of(path),
        )
        with contextlib.suppress(OSError):  # a full disk must not keep the file where it stands
            with open(os.path.join(entry, _WHY), "x", encoding="utf-8") as file:
                json.dump(asdict(why), file)
        old_name = name or os.path.basename(path)
        try:
            _rename(path, os.path.join(entry, old_name + ";" if old_name == _WHY else old_name))
        except OSError:
            _remove_failed_entry(entry)
            raise
        return os.path.basename(entry)

    def _numbered_directory_of(self, path: str) -> str | None:
        parent, name = os.path.split(os.path.dirname(path))
        return name if parent == self.directory and is_number(name) else None

    def _new_failed_entry(self, identifier: str | None) -> str:
        os.makedirs(self.path("failed"), mode=0o750, exist_ok=True)
        if identifier and _ID.fullmatch(identifier):
            if self.failed_entry(identifier) is None:
                with contextlib.suppress(FileNotFoundError):
                    self._free_failed_id(identifier)  # who made it was killed before its move
            entry = self.path("failed", identifier)
            with contextlib.suppress(FileExistsError):
                os.mkdir(entry)
                return entry
        entry = self.path("failed", secrets.token_hex(16))
        os.mkdir(entry)
        return entry

    def _free_failed_id(self, identifier: str) -> str:
        """Give an entry of ``failed`` another id and return its new path.

        Whatever becomes of the entry then, the task can fail again and be set aside by its own id.
        """
        apart = self.path("failed", secrets.token_hex(16))
        os.rename(self.path("failed", identifier), apart)
        return apart

    # The failed ones

    def failed(self) -> Iterator[tuple[str, str, Reason]]:
        """Yield id, path and reason of each file in ``failed``, in no order."""
        for identifier in names_in(self.path("failed")):
            if entry := self.failed_entry(identifier):
                yield identifier, *entry

    def failed_entry(self, identifier: str) -> tuple[str, Reason] | None:
        """Return path and reason of one failed file, None where there is none of that id."""
        if identifier in _DOTS or os.path.basename(identifier) != identifier:
            return None
        entry = self.path("failed", identifier)
        if os.path.lexists(entry) and not is_directory(entry):
            return entry, Reason(reason=ASTRAY, at=_modified(entry))
        for name in names_if_open(entry):
            if name != _WHY:
                return os.path.join(entry, name), _read_reason(entry)
        if is_closed(entry):
            return entry, Reason(reason=ASTRAY, at=_modified(entry))
        return None

    def retry(self, identifier: str) -> bool:
        """Put a failed file back to where it stood, its attempts reset; False if it is gone.

        Raise SpoolUnavailable where the directory does not allow it.
        """
        with self._explained():
            entry = self.failed_entry(identifier)
            if entry is None:
                return False
            path, why = entry
            name = os.path.basename(path)
            try:
                apart = self._free_failed_id(identifier)
            except FileNotFoundError:
                return False
            path = os.path.join(apart, name) if is_directory(apart) else apart
            try:
                self._put_back(path, name, why)
            except OSError as error:
                os.rename(apart, self.path("failed", identifier))
                if isinstance(error, FileNotFoundError):
                    return False
                raise
        _remove_failed_entry(apart)
        return True

    def _put_back(self, path: str, name: str, why: Reason) -> None:
        if why.place is not None:
            task = claimable(TaskName.parse(name).base, why.place)
            self.make_ready(path, replace(task, ready_at=time.time_ns() // 1000), why.place)
            return
        if not is_spool_name(name):  # nobody would look at it again
            name = f"{PREFIX}{name}"
        if len(os.fsencode(name)) > _NAME_MAX:
            name = new_base()
        _rename_into(path, os.path.join(self.directory, why.numbered or "", name))

    def discard(self, identifier: str) -> bool:
        """Delete a failed file; False if there is none of that id.

        Raise SpoolUnavailable where the directory does not allow it.
        """
        with self._explained():
            if self.failed_entry(identifier) is None:
                return False
            try:
                entry = self._free_failed_id(identifier)
            except FileNotFoundError:
                return False
            if is_directory(entry):
                shutil.rmtree(entry)
            else:
                os.unlink(entry)
        return True

    def discard_unfinished(self, before: float) -> None:
        """Remove entries of ``failed`` whose maker was killed before its move, made ``before``."""
        for identifier in names_in(self.path("failed")):
            entry = self.path("failed", identifier)
            with contextlib.suppress(OSError):
                if self.failed_entry(identifier) is None and os.lstat(entry).st_ctime < before:
                    _remove_failed_entry(entry)

    # Pausing

    def pause(self, queue: str | None = None) -> None:
        """Let no process claim from the queue, or from any, until ``resume``; survives restarts."""
        with self._explained():
            self.make_tree()
            Path(self.path("paused", queue or ALL_QUEUES)).touch()

    def resume(self, queue: str | None = None) -> None:
        """Let the queue be worked on again; without a name, every queue."""
        with self._explained():
            for name in names_in(self.path("paused")) if queue is None else [queue]:
                Path(self.path("paused", name)).unlink(missing_ok=True)

    def paused(self) -> set[str]:
        """Return the queues that are paused; ALL_QUEUES stands for every one."""
        return set(names_in(self.path("paused")))


def _remove_failed_entry(entry: str) -> None:
    """Remove an entry of ``failed`` unless there is still a file in it."""
    with contextlib.suppress(OSError):
        Path(entry, _WHY).unlink(missing_ok=True)
        os.rmdir(entry)


def read_file(path: str, most: int = MAX_FILE_SIZE) -> bytes:
    """Return a task file's content, or its first ``most`` bytes.

    Raise DamagedTask for what is no regular file or over 1 GiB, OSError where it cannot be read.
    """
    if kind := _kind(os.lstat(path)):  # opening a device may already do harm
        raise DamagedTask(f"it is {kind}, not a file")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size > MAX_FILE_SIZE:
                raise DamagedTask(f"{size} bytes are more than any task of ours has")
            return _read_whole(descriptor, min(size, most))
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _FILE_AT_FAULT:
            raise
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


def _read_whole(descriptor: int, size: int) -> bytes:
    content = os.read(descriptor, size)
    while len(content) < size and (more := os.read(descriptor, size - len(content))):
        content += more
    return content


def set_due(path: str, due: float) -> None:
    """Note in the file's mtime when its task is due (seconds since the epoch)."""
    nanoseconds = int(due * 1_000_000) * 1000
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def _sync_directory(path: str) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_spool_name(name: str) -> bool:
    """Tell whether uWSGI's loop looks at such a name; with ``spooler-ordered`` also at numbers.

    Source: ``spooler_manage_task`` in uWSGI's ``core/spooler.c``.
    """
    return name.startswith(PREFIX) or is_number(name)


def is_number(name: object) -> bool:
    """Tell whether a name consists of digits only, as those of priority directories do."""
    return isinstance(name, str) and name.isascii() and name.isdigit()


def is_queue_name(name: object) -> bool:
    """Tell whether this can be the name of a queue's directory, and leads nowhere else."""
    try:
        return (
            isinstance(name, str)
            and name not in _DOTS
            and not {"/", "\0"} & set(name)
            and len(os.fsencode(name)) <= _NAME_MAX
        )
    except UnicodeEncodeError:
        return False


def parse_level(name: str) -> int | None:
    """Return the level a directory's name stands for, or None."""
    return (
        int(name)
        if name.isascii() and name.isdigit() and len(name) <= 3 and int(name) in _LEVELS
        else None
    )


def claimed_name(place: Place, name: str) -> str:
    """Return a file's name in a running directory; it keeps where the file stood."""
    return f"{place.level}:{place.queue}:{name}"


def claimable(name: str, place: Place) -> TaskName:
    """Return a task's name from a file's: another one, where that leaves no room to claim it."""
    longest = claimed_name(place, str(TaskName(name, attempts=1, cuts=1, ready_at=time.time_ns())))
    return TaskName(name if len(os.fsencode(longest)) <= _NAME_MAX else new_base())


def _fitting(name: TaskName) -> str:
    """Return a name that a file can have: a foreign one may leave no room for what we add."""
    for fitting in (name, replace(name, ready_at=None)):
        if len(os.fsencode(str(fitting))) <= _NAME_MAX:
            return str(fitting)
    return str(replace(name, base=new_base()))


def _rename_into(path: str, target: str) -> str:
    """Rename, making the target's directory if needed, never over another file; return the target."""
    if not is_gone(target):
        _, semicolon, state = os.path.basename(target).partition(";")
        target = os.path.join(os.path.dirname(target), f"{new_base()}{semicolon}{state}")
    while True:
        try:
            _rename(path, target)
            return target
        except FileNotFoundError:
            if is_gone(path):
                raise
        os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)


def _rename(path: str, target: str) -> None:
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


def _read_reason(entry: str) -> Reason:
    try:
        with open(os.path.join(entry, _WHY), encoding="utf-8", opener=open_without_waiting) as file:
            why = Reason(**json.load(file))
    except (OSError, ValueError, TypeError, RecursionError):
        why = None
    if why is None or not why.is_sound:
        return Reason(reason="the reason could not be kept", at=_modified(entry))
    return why


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


def _modified(path: str) -> float:
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

_REMEDIES = {
    errno.ENOSPC: "The disk is full: free room, or put the spool on another disk (OPTIONS['SPOOLERS'])",
    errno.EDQUOT: "The quota is used up: free room, or put the spool on another disk (OPTIONS['SPOOLERS'])",
    errno.EROFS: "The file system is read-only: remount it, or choose another directory (OPTIONS['SPOOLERS'])",
    errno.EACCES: "Give the site's user read, write and search rights on it",
    errno.EPERM: "Give the site's user read, write and search rights on it",
    errno.ENOENT: "Make the directory, or correct the path (OPTIONS['SPOOLERS'])",
    errno.ENOTDIR: "A file stands in its place: correct the path (OPTIONS['SPOOLERS'])",
    errno.EMFILE: "The process has used up its descriptors: close some, or raise its limit (ulimit -n)",
    errno.EIO: "The disk fails: the kernel's log (dmesg) says more",
    errno.ENFILE: "The machine has used up its descriptors: raise fs.file-max",
}
