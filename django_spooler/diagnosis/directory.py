"""What is wrong with a spool directory itself: its rights, its disk, and who else may write."""

import os
import stat
from collections.abc import Iterator

from django.utils.translation import gettext as _

from ..spool.directory import Spool
from ..spool.files import is_directory
from . import machine
from .problem import Problem

_BYTES_MIN = 1 << 20
_FILES_MIN = 100
"""What a disk has left at least; one directory and file more may be all that a task needs."""

_NETWORK = {
    *("afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs"),
    *("fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"),
    *("smb3", "smbfs"),
}
"""File systems that other machines write to as well, as mountinfo names them."""


def problems(spool: Spool) -> Iterator[Problem]:
    """Yield what is wrong with an existing directory; one that is missing is made by its server."""
    if not is_directory(os.path.realpath(spool.directory)):
        return
    yield from _not_writable(spool)
    yield from _writable_for_all(spool)
    yield from _full(spool)
    yield from _network(spool)


def _not_writable(spool: Spool) -> Iterator[Problem]:
    if os.statvfs(spool.directory).f_flag & os.ST_RDONLY:
        yield Problem(
            "not-writable",
            _("%(directory)s is on a file system that is mounted read-only.")
            % {"directory": spool.directory},
            f"mount -o remount,rw $(findmnt -n -o TARGET --target {spool.directory})",
        )
        return
    for path in _directories(spool):
        if not os.access(path, os.W_OK | os.X_OK):
            yield _not_writable_for(path, os.geteuid())
            return
    for process in machine.uwsgi_processes(spool.directory):
        for path in _directories(spool):
            if not process.may_write(os.stat(path)):
                yield _not_writable_for(path, process.uid, process.pid)
                return


def _not_writable_for(path: str, uid: int, spooler: int | None = None) -> Problem:
    """Return what a spooler's process ID, or this process by default, cannot write."""
    status = os.stat(path)
    user = machine.user_name(uid)
    facts = {
        "path": path,
        "user": user,
        "pid": spooler,
        "owner": machine.user_name(status.st_uid),
        "mode": stat.filemode(status.st_mode),
    }
    message = (
        _(
            "%(path)s is not writable for user %(user)s, as whom this process runs: it belongs to"
            " %(owner)s and its mode is %(mode)s."
        )
        if spooler is None
        else _(
            "%(path)s is not writable for user %(user)s, as whom uWSGI's spooler %(pid)s runs: it"
            " belongs to %(owner)s and its mode is %(mode)s."
        )
    )
    return Problem("not-writable", message % facts, f"chown -R {user} {path}")


def _writable_for_all(spool: Spool) -> Iterator[Problem]:
    for path in _directories(spool):
        mode = os.stat(path).st_mode
        if mode & stat.S_IWOTH:
            yield Problem(
                "world-writable",
                _(
                    "%(path)s is writable for every user of this machine (its mode is %(mode)s):"
                    " each could queue tasks, and change or delete yours."
                )
                % {"path": path, "mode": stat.filemode(mode)},
                f"chmod o-rwx {path}",
            )


def _full(spool: Spool) -> Iterator[Problem]:
    disk = os.statvfs(spool.directory)
    facts = {
        "directory": spool.directory,
        "kibibytes": disk.f_bavail * disk.f_frsize // 1024,
        "files": disk.f_favail,
    }
    if disk.f_bavail * disk.f_frsize < _BYTES_MIN:
        message = _(
            "The disk of %(directory)s is full: %(kibibytes)s KiB left. enqueue refuses tasks."
        )
    elif disk.f_files and disk.f_favail < _FILES_MIN:
        message = _(
            "The disk of %(directory)s is full: room for %(files)s files left. enqueue refuses"
            " tasks."
        )
    else:
        return
    hint = _(
        "Free room (df -h %(directory)s; df -i %(directory)s), or name a directory on another disk"
        " in OPTIONS['SPOOLERS']."
    )
    yield Problem("disk-full", message % facts, hint % facts)


def _network(spool: Spool) -> Iterator[Problem]:
    kind = machine.file_system(spool.directory)
    if kind in _NETWORK:
        yield Problem(
            "network-file-system",
            _(
                "%(directory)s is on a network file system (%(kind)s): locks and renames there do"
                " not hold between machines as the queue needs them, and no change is announced."
            )
            % {"directory": spool.directory, "kind": kind},
            _(
                "Name a directory on a local disk, on each machine its own: OPTIONS['SPOOLERS'] ="
                " {'default': '/var/spool/mysite'}, and the same for spooler in uWSGI's"
                " configuration."
            ),
        )


def _directories(spool: Spool) -> list[str]:
    """Return the directory and those of its tree that tasks are written to."""
    below = [spool.tree, *(spool.path(state) for state in ("ready", "scheduled", "running", "tmp"))]
    return [spool.directory, *filter(is_directory, below)]
