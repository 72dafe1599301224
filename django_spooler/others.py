"""What stands in the scanned directory for another library, as far as it can be told by looking.

Their arguments are mostly pickled: nothing here unpickles, imports or calls anything.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from .spool.files import open_without_waiting, read_file
from .spool.packet import HEADER_SIZE, MAX_SIZE, NAME, decode_variables, split

OURS = NAME.decode()
_VARIABLES = {
    b"ud_spool_func": "uwsgidecorators",
    b"function_name": "uwsgi_tasks",
    NAME: OURS,
}
"""The variable by which a library is known, and the library; those of others name the function."""

_FLOCK = struct.Struct("@hhqqi4x")
"""``struct flock`` of fcntl(2) on 64-bit Linux: type, whence, start, length, pid."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a file is."""

    library: str
    """Its import name, OURS for what is not taken in yet, "" where it is not known."""

    function: str | None
    """What it names as the function to call."""

    runs_in: int | None
    """The spooler process that runs it now."""


def origin_of(path: str) -> Origin | None:
    """Return whose a file of the scanned directory is, None where this process must not look.

    Raise DamagedTask for what is no packet, OSError where it cannot be read.
    """
    if _is_spooler():
        return None  # to close a file that this process runs would drop uWSGI's lock on it
    encoded, _ = split(read_file(path, HEADER_SIZE + MAX_SIZE))
    library, function = _told_by(decode_variables(encoded))
    return Origin(library, function, _locked_by(path))


def _told_by(variables: Mapping[bytes, bytes]) -> tuple[str, str | None]:
    for variable, library in _VARIABLES.items():
        if variable in variables:
            return library, os.fsdecode(variables[variable])
    return "", None


def _is_spooler() -> bool:
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and os.getpid() in getattr(uwsgi, "spooler_pids", list)()


def _locked_by(path: str) -> int | None:
    """Return the process that holds uWSGI's lock on a file; asking does not take it."""
    with open(path, "rb", opener=open_without_waiting) as file:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid
