"""What Linux tells of other processes and of disks; elsewhere nothing is known, and nothing found."""

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..spool.files import names_in


@dataclass(frozen=True, slots=True)
class UwsgiProcess:
    """A process of uWSGI that stands in a directory, as its spoolers stand in theirs.

    Source: ``spooler`` in uWSGI's ``core/spooler.c`` goes there before each pass.
    """

    pid: int
    directory: str
    uid: int
    groups: frozenset[int]

    def may_write(self, status: os.stat_result) -> bool:
        """Tell whether it may write into a directory of this status, by owner and mode."""
        if self.uid == 0:
            return True
        if self.uid == status.st_uid:
            needed = stat.S_IWUSR | stat.S_IXUSR
        elif status.st_gid in self.groups:
            needed = stat.S_IWGRP | stat.S_IXGRP
        else:
            needed = stat.S_IWOTH | stat.S_IXOTH
        return status.st_mode & needed == needed


def uwsgi_processes(directory: str | None = None) -> Iterator[UwsgiProcess]:
    """Yield uWSGI's processes on this machine that stand in the directory, or in any.

    Those of other users are seen by root only.
    """
    for name in names_in("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, KeyError):
                place = os.readlink(f"/proc/{name}/cwd")
                if directory in (None, place) and _is_uwsgi(name):
                    yield UwsgiProcess(int(name), place, *_rights(name))


def _is_uwsgi(pid: str) -> bool:
    """Tell by the program, and by what ps shows: pyuwsgi is a Python, and auto-procname renames."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        shown = file.read(4096).split(b"\0")[:2]
    names = [os.fsencode(os.readlink(f"/proc/{pid}/exe")), *shown]
    return any(b"uwsgi" in os.path.basename(name).lower() for name in names)


def _rights(pid: str) -> tuple[int, frozenset[int]]:
    """Return effective user and all groups, from proc(5)."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    groups = [fields["Gid"].split()[1], *fields.get("Groups", "").split()]
    return int(fields["Uid"].split()[1]), frozenset(map(int, groups))


def user_name(uid: int) -> str:
    """Return the user's name, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def file_system(path: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """Return the kind of file system a path is on, as in "ext4"; None where nothing tells."""
    path = os.path.realpath(path)
    longest, kind = 0, None
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                before, _, behind = line.partition(" - ")
                point = _unescaped(before.split()[4])
                is_above = path == point or path.startswith(point.rstrip("/") + "/")
                if is_above and len(point) >= longest:  # the later of two covers the other
                    longest, kind = len(point), behind.split()[0]
    except (OSError, IndexError):
        return None
    return kind


def _unescaped(text: str) -> str:
    """Undo what mountinfo does to blanks and backslashes; see proc(5)."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
