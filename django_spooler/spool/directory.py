"""One spool directory: where a task's file stands is its state, and every verb is a move.

::

    <directory>/                               scanned by uWSGI: bells, and other libraries' tasks
    <directory>/django/ready/<queue>/<level>/            waiting, level = 100 - priority
    <directory>/django/scheduled/<queue>/<level>/<minute>/   waiting for the time in its mtime
    <directory>/django/running/<process>/                claimed by a process
    <directory>/django/failed/<id>/                      set aside, with the reason beside it
    <directory>/django/paused/<queue>                    a mark: nothing of the queue is claimed
    <directory>/django/processes/<process>               a locked card per living process
    <directory>/django/cron/lock                         held by who runs the periodic jobs
    <directory>/django/counts/<process>                  what it has counted, for charts and metrics
    <directory>/django/tmp/                              files not yet whole

Nothing else in the package renames, links or unlinks a task's file. In a process that uWSGI's
spooler runs in, files of the scanned directory are only moved, never opened: closing one drops the
lock uWSGI holds on it.
"""

import contextlib
import errno
import json
import os
import random
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path

from ..exceptions import SpoolUnavailable
from .files import (
    begin_to_sync,
    is_closed,
    is_directory,
    is_gone,
    make_directories,
    make_directory,
    modified,
    move,
    names_if_open,
    names_in,
    private,
    set_due,
    sync_directory,
    sync_way_to,
)
from .names import PREFIX, TaskName, new_base, new_id
from .place import NAME_MAX, TREE, Place, fitting, is_file_name, is_number
from .reason import WHY, Reason, read_reason

ALL_QUEUES = ";all"
"""The mark that pauses every queue; no queue can have this name."""

ASTRAY = "it stood where no task belongs"
"""The reason given for what is in a directory of the tree that holds no such thing."""

_REWRITTEN = "an operator's change of it was interrupted"
"""The reason given for what stands in ``failed`` while it is written anew."""

_LOOKED_AT = 500
"""Entries of ``failed`` that are looked at in one round of housekeeping."""

_ID = re.compile("[0-9A-Za-z]{1,64}")

_durable: set[tuple[str, int]] = set()
"""Directories, by path and inode, that the disk knows the way to."""

_DURABLE_MAX = 1000

DIRECTORIES = ("ready", "scheduled", "running", "failed", "paused", "processes", "counts", "tmp")
"""Those of the tree that are always there."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to become a task's file."""

    content: bytes
    place: Place
    due: float | None = None
    """Seconds since the epoch; None is at once."""

    @property
    def directory(self) -> str:
        """Where the file is to stand, as a path below the spool directory."""
        return self.place.ready if self.due is None else self.place.scheduled(self.due)


class Spool:
    """The task files of one spool directory."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        announce: Callable[[str, str], None] = lambda name, reason: None,
    ) -> None:
        """``announce`` gets name and reason of what is set aside and is no task of ours."""
        self.directory = os.fspath(directory)
        self.announce = announce
        self.tree = os.path.join(self.directory, TREE)

    def __repr__(self) -> str:
        return f"Spool({self.directory!r})"

    def path(self, directory: str, *parts: str) -> str:
        """Return a path below one of the tree's directories."""
        return os.path.join(self.tree, directory, *parts)

    def prepare(self) -> None:
        """Make the tree. Raise SpoolUnavailable where that cannot be done."""
        with self._explained():
            self.make_tree()

    def make_tree(self) -> None:
        """Make the tree. Raise OSError where that cannot be done."""
        for name in DIRECTORIES:
            make_directories(self.path(name))

    def require_access(self) -> None:
        """Raise SpoolUnavailable where this user may not look into the tree."""
        with self._explained(), contextlib.suppress(FileNotFoundError):  # nothing was put there yet
            os.scandir(self.tree).close()

    @contextlib.contextmanager
    def _explained(self, accepted: Sequence[str] = ()) -> Iterator[None]:
        """Tell of an error of the system in the block what it means for this directory.

        ``accepted`` holds what is queued all the same.
        """
        try:
            yield
        except OSError as error:
            cause = error.strerror or str(error)
            remedy = _REMEDIES.get(error.errno or 0, "Run: python manage.py spooler status")
            refusal = SpoolUnavailable(
                f"Spool directory {self.directory} cannot be used: {cause}"
                f" ({error.filename2 or error.filename or self.tree}). {remedy}."
            )
            refusal.accepted = len(accepted)
            raise refusal from error

    # Putting in

    def publish(
        self, content: bytes, place: Place, *, due: float | None = None, fsync: bool = False
    ) -> str:
        """Write a task's file whole, then make it visible; return its path.

        ``due`` is in seconds since the epoch; None is at once. Raise SpoolUnavailable and leave
        nothing behind where the directory does not take it. With ``fsync`` the file and every
        directory that leads to it are on the disk then.
        """
        return self.publish_together([Draft(content, place, due)], fsync=fsync)[0]

    def publish_together(self, drafts: Sequence[Draft], *, fsync: bool = False) -> list[str]:
        """Write the files of many tasks whole, then make them visible; return their paths.

        Where the directory does not take them all, raise SpoolUnavailable and leave nothing behind,
        but for what a process has claimed meanwhile and those before it, which ``accepted`` of the
        error counts. All are open at a time. With ``fsync`` the files
        and every directory that leads to them are on the disk then, which they reach together.
        """
        beside = [self.path("tmp", new_base()) for _ in drafts]
        visible: list[str] = []
        with self._explained(visible):
            try:
                self._write(beside, drafts, fsync)
                for path, draft in zip(beside, drafts, strict=True):
                    visible.append(_rename_into(path, self._path_for(draft, path)))
                if fsync:
                    self._make_durable(visible)
            except OSError:
                for path in beside:
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                # What is claimed is on its way: the sync of where it stood covers the move out of it.
                while visible and _take_back(visible[-1]):
                    visible.pop()
                if len(visible) < len(drafts):
                    raise
        return visible

    def _path_for(self, draft: Draft, beside: str) -> str:
        return os.path.join(self.directory, draft.directory, os.path.basename(beside))

    def _make_durable(self, paths: list[str]) -> None:
        """Bring the entries of new files to the disk."""
        for directory in dict.fromkeys(map(os.path.dirname, paths)):
            sync_directory(directory)
            self._make_way_durable(directory)

    def _make_way_durable(self, directory: str) -> None:
        """Bring the entries that lead to a directory to the disk, if this process has not yet."""
        identity = directory, os.stat(directory).st_ino
        if identity in _durable:
            return
        sync_way_to(directory)
        if len(_durable) >= _DURABLE_MAX:
            _durable.clear()
        _durable.add(identity)

    def _write(self, paths: list[str], drafts: Sequence[Draft], fsync: bool) -> None:
        with contextlib.ExitStack() as stack:
            files = []
            for path, draft in zip(paths, drafts, strict=True):
                file = stack.enter_context(self._new_file(path))
                files.append(file)
                view = memoryview(draft.content)
                while view:
                    view = view[file.write(view) :]
                if draft.due is not None:
                    set_due(path, draft.due)
            if fsync:
                for file in files:
                    begin_to_sync(file.fileno())
                for file in files:
                    os.fsync(file.fileno())

    def _new_file(self, path: str) -> FileIO:
        try:
            return open(path, "xb", buffering=0, opener=private)
        except FileNotFoundError:
            self.make_tree()
            return open(path, "xb", buffering=0, opener=private)

    # Moving

    def schedule(self, path: str, name: TaskName, place: Place, due: float) -> None:
        """Move a file to where it waits for ``due`` (seconds since the epoch)."""
        set_due(path, due)
        waiting = replace(name, ready_at=None)
        target = os.path.join(self.directory, place.scheduled(due), fitting(waiting))
        _rename_into(path, target)

    def make_ready(self, path: str, name: TaskName, place: Place) -> None:
        """Move a file to where the next free process takes it."""
        _rename_into(path, os.path.join(self.directory, place.ready, fitting(name)))

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
            with open(os.path.join(entry, WHY), "x", encoding="utf-8", opener=private) as file:
                json.dump(asdict(why), file)
        old_name = name or os.path.basename(path)
        try:
            move(path, os.path.join(entry, old_name + ";" if old_name == WHY else old_name))
        except OSError:
            _remove_failed_entry(entry)
            raise
        return os.path.basename(entry)

    def set_foreign_aside(self, path: str, reason: str) -> None:
        """Move what is no task of ours to ``failed``, and announce it."""
        self.set_aside(path, reason)
        self.announce(os.path.basename(path), reason)

    def set_stray_aside(self, path: str) -> None:
        """Move what stands where nothing of its kind belongs to ``failed``, if that is allowed."""
        with contextlib.suppress(OSError):
            self.set_foreign_aside(path, ASTRAY)

    def _numbered_directory_of(self, path: str) -> str | None:
        parent, name = os.path.split(os.path.dirname(path))
        return name if parent == self.directory and is_number(name) else None

    def _new_failed_entry(self, identifier: str | None) -> str:
        make_directories(self.path("failed"))
        if identifier and _ID.fullmatch(identifier):
            if self.failed_file(identifier) is None:
                with contextlib.suppress(FileNotFoundError):
                    self._free_failed_id(identifier)  # who made it was killed before its move
            entry = self.path("failed", identifier)
            with contextlib.suppress(FileExistsError):
                make_directory(entry)
                return entry
        entry = self.path("failed", new_id())
        make_directory(entry)
        return entry

    def _free_failed_id(self, identifier: str) -> str:
        """Give an entry of ``failed`` another id and return its new path.

        Whatever becomes of the entry then, the task can fail again and be set aside by its own id.
        """
        apart = self.path("failed", new_id())
        os.rename(self.path("failed", identifier), apart)
        return apart

    # The failed ones

    def failed(self) -> Iterator[tuple[str, str, Reason]]:
        """Yield id, path and reason of each file in ``failed``, in no order."""
        for identifier in names_in(self.path("failed")):
            if entry := self.failed_entry(identifier):
                yield identifier, *entry

    def failed_times(self) -> Iterator[tuple[float, str]]:
        """Yield when each entry of ``failed`` came in (seconds since the epoch), and its id.

        No file is read, so 100,000 take less than a second.
        """
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self.path("failed")) as entries,
        ):
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False).st_mtime, entry.name

    def failed_file(self, identifier: str) -> str | None:
        """Return the path of one failed file, None where there is none of that id."""
        if not is_file_name(identifier):
            return None
        entry = self.path("failed", identifier)
        if os.path.lexists(entry) and not is_directory(entry):
            return entry
        for name in names_if_open(entry):
            if name != WHY:
                return os.path.join(entry, name)
        return entry if is_closed(entry) else None

    def failed_entry(self, identifier: str) -> tuple[str, Reason] | None:
        """Return path and reason of one failed file, None where there is none of that id."""
        path = self.failed_file(identifier)
        if path is None:
            return None
        entry = self.path("failed", identifier)
        if path == entry:
            return path, Reason(reason=ASTRAY, at=modified(entry))
        return path, read_reason(entry)

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
            task = TaskName(TaskName.parse(name).base, ready_at=time.time_ns() // 1000)
            self.make_ready(path, task, why.place)
            return
        seen = name if is_spool_name(name) else f"{PREFIX}{name}"
        if len(os.fsencode(seen)) > NAME_MAX:  # nobody would ever look at it there
            self.set_aside(path, why.reason, name=name)
            return
        _rename_into(path, os.path.join(self.directory, why.numbered or "", seen))

    def discard(self, identifier: str) -> bool:
        """Delete a failed file; False if there is none of that id.

        Raise SpoolUnavailable where the directory does not allow it.
        """
        with self._explained():
            path = self.failed_file(identifier)
            if path is None:
                return False
            try:
                entry = self._free_failed_id(identifier)
            except FileNotFoundError:
                return False
            _remove(entry + path.removeprefix(self.path("failed", identifier)))
            _remove_failed_entry(entry)  # what else stands in it is listed from now on
        return True

    def discard_waiting(self, path: str) -> bool:
        """Delete a file that waits; False if it is gone, as when a process has claimed it.

        Raise SpoolUnavailable where the directory does not allow it.
        """
        with self._explained():
            try:
                _remove(path)
            except FileNotFoundError:
                return False
        return True

    def rewrite(
        self,
        path: str,
        draft: Draft,
        name: TaskName,
        *,
        identifier: str,
        task: str,
        fsync: bool = False,
    ) -> bool:
        """Give a waiting file another content, place and time, as drafted; False if it is gone.

        Meanwhile it stands in ``failed``, where it is found if this process dies: without a place,
        so that its message, the old or the new one, tells where it is put back to. Raise
        SpoolUnavailable where the directory does not allow it.
        """
        beside = self.path("tmp", new_base())
        with self._explained():
            try:
                self._write([beside], [draft], fsync)
                aside = self.set_aside(
                    path, _REWRITTEN, identifier=identifier, task=task, name=str(name)
                )
                is_done = self._replace(aside, beside, name, draft)
            except FileNotFoundError:  # a process has claimed it, or another operator has it
                return False
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(beside)
            if is_done and fsync:
                target = os.path.join(self.directory, draft.directory)
                sync_directory(target)
                self._make_way_durable(target)
        return is_done

    def _replace(self, identifier: str, beside: str, name: TaskName, draft: Draft) -> bool:
        found = self.failed_entry(identifier)
        if found is None:
            return False
        path, _ = found
        os.rename(beside, path)
        if draft.due is None:
            self.make_ready(path, name, draft.place)
        else:
            self.schedule(path, name, draft.place, draft.due)
        _remove_failed_entry(self.path("failed", identifier))
        return True

    def discard_unfinished(self, before: float) -> None:
        """Remove entries of ``failed`` whose maker was killed before its move, made ``before``.

        Of many only some are looked at, by chance: none is missed for good, and no number is slow.
        """
        names = names_in(self.path("failed"))
        for identifier in random.sample(names, min(len(names), _LOOKED_AT)):
            entry = self.path("failed", identifier)
            with contextlib.suppress(OSError):
                if self.failed_file(identifier) is None and os.lstat(entry).st_ctime < before:
                    _remove_failed_entry(entry)

    # Pausing

    def pause(self, queue: str | None = None) -> None:
        """Let no process claim from the queue, or from any, until ``resume``; survives restarts."""
        with self._explained():
            self.make_tree()
            with contextlib.suppress(FileExistsError):
                open(self.path("paused", queue or ALL_QUEUES), "xb", opener=private).close()

    def resume(self, queue: str | None = None) -> None:
        """Let the queue be worked on again; without a name, every queue."""
        with self._explained():
            for name in names_in(self.path("paused")) if queue is None else [queue]:
                if is_directory(mark := self.path("paused", name)):
                    self.set_stray_aside(mark)
                else:
                    Path(mark).unlink(missing_ok=True)

    def paused(self) -> set[str]:
        """Return the queues that are paused; ALL_QUEUES stands for every one."""
        return set(names_in(self.path("paused")))


def _remove(path: str) -> None:
    if is_directory(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _remove_failed_entry(entry: str) -> None:
    """Remove an entry of ``failed`` unless there is still a file in it."""
    with contextlib.suppress(OSError):
        Path(entry, WHY).unlink(missing_ok=True)
        os.rmdir(entry)


def is_spool_name(name: str) -> bool:
    """Tell whether uWSGI's loop looks at such a name; with ``spooler-ordered`` also at numbers.

    Source: ``spooler_manage_task`` in uWSGI's ``core/spooler.c``.
    """
    return name.startswith(PREFIX) or is_number(name)


def _take_back(path: str) -> bool:
    """Delete a file that was made visible; False where it is gone, as when a process has claimed it."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError:
        pass  # what is told is the error this one comes from
    return True


def _rename_into(path: str, target: str) -> str:
    """Rename, making the target's directory if needed, never over another file; return the target."""
    if not is_gone(target):
        directory, name = os.path.split(target)
        target = os.path.join(directory, f"{PREFIX}{secrets.token_hex(4)}_{name}")
    while True:
        try:
            move(path, target)
            return target
        except FileNotFoundError:
            if is_gone(path):
                raise
        make_directories(os.path.dirname(target))


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
