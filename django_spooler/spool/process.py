"""Who lives: a locked card per process that serves a spool directory.

A process writes its card, takes an fcntl lock on it and keeps that for life, so the kernel itself
says when it is dead: the lock is free. Whatever stands in the dead one's running directory was cut,
and is put back by the first living process that notices.

An fcntl lock goes when its owner closes *any* descriptor of the file, so no process opens a card of
its own again. A task may, as a backup does that reads the whole directory: so a process whose lock is
free lives all the same while this host has it, the one of this pid that was started at that time.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import IO, Any

from ..exceptions import DamagedTask
from .directory import Spool
from .files import is_gone, make_directories, names_in, open_without_waiting, private, read_file
from .unfinished import UNFINISHED_CARD, is_unfinished

SUPERVISOR = "supervisor"
RUNNER = "runner"
SPOOLER = "spooler"
"""A process of uWSGI's spooler; it is a supervisor too once uWSGI has called our handler."""
SERVER = "server"
"""A process of uWSGI that imported our worker and is no spooler: the master, or a web worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a process says about itself."""

    name: str
    role: str
    """SUPERVISOR, RUNNER, SPOOLER or SERVER."""

    kind: str
    """"uwsgi", or "work" for the plain worker."""

    pid: int
    host: str
    generation: str
    """The same for all processes of one start of one server; another after a reload."""

    supervisor: str | None
    """The name of the supervisor's card, None for a supervisor."""

    since: float
    """Seconds since the epoch."""

    started: int | None = None
    """When its host started the process, in ticks of its clock; no other of this pid was then."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What a SPOOLER or SERVER says of how its uWSGI is set up."""

    @property
    def worker_id(self) -> str:
        """What results and journals call this process."""
        return f"{self.kind}-{self.host}-{self.pid}"

    @property
    def is_sound(self) -> bool:
        """Whether each field is what it should be; anyone may have written the file."""
        texts = (self.name, self.role, self.kind, self.host, self.generation)
        return (
            all(isinstance(text, str) for text in texts)
            and isinstance(self.supervisor, (str, NoneType))
            and isinstance(self.facts, dict)
            and type(self.pid) is int
            and 0 < self.pid < 1 << 31
            and type(self.since) in (int, float)
            and 0 <= self.since < 1e11
            and type(self.started) in (int, NoneType)
        )


def new_card_name() -> str:
    """Return an unused name of a card."""
    return f"{socket.gethostname()}-{secrets.token_hex(6)}"


_held: dict[str, Card] = {}
"""The cards this process holds (and, after a fork, its parent's), by path."""


class HeldCard:
    """This process's own card, locked until the process ends or leaves."""

    def __init__(self, spool: Spool, card: Card) -> None:
        self.card = card
        self._spool = spool
        self._path = spool.path("processes", card.name)
        self._file = self._write()
        _held[self._path] = card

    @property
    def running(self) -> str:
        """The directory of the files this process has claimed."""
        return self._spool.path("running", self.card.name)

    def _write(self) -> IO[str]:
        beside = _beside(self._spool, self.card.name)
        try:
            file = open(beside, "x", encoding="utf-8", opener=private)
            json.dump(asdict(self.card), file)
            file.flush()
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._make_running()
            os.rename(beside, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        return file

    def _make_running(self) -> None:
        if self.card.role == RUNNER:
            make_directories(self.running)

    def keep(self) -> None:
        """Make card and running directory again where the spool directory was deleted.

        Raise OSError where that cannot be done.
        """
        if is_gone(self._path):
            self._spool.make_tree()
            self._file = self._write()
        self._make_running()

    def leave(self) -> None:
        """Take the card back, if nothing claimed is left behind; else others put that back."""
        forget(self._spool, self.card.name)
        _held.pop(self._path, None)
        self._file.close()


def new_card(
    role: str,
    kind: str,
    generation: str,
    *,
    name: str | None = None,
    supervisor: str | None = None,
    facts: dict[str, Any] | None = None,
) -> Card:
    """Return the card of this process."""
    return Card(
        name=name or new_card_name(),
        role=role,
        kind=kind,
        pid=os.getpid(),
        host=socket.gethostname(),
        generation=generation,
        supervisor=supervisor,
        since=time.time(),
        started=_start_of(os.getpid()),
        facts=facts or {},
    )


def cards(spool: Spool) -> Iterator[tuple[Card, bool]]:
    """Yield each card of the spool and whether its process lives."""
    for name in names_in(spool.path("processes")):
        path = spool.path("processes", name)
        if (card := _read(path, name)) is not None:
            yield card, _is_locked(path) or _is_running(card)


def is_card(path: str) -> bool:
    """Tell whether this is a card, or held as one: what a newer version writes may read otherwise.

    Raise OSError where that is not known.
    """
    if _read(path, os.path.basename(path)) is not None:
        return True
    try:
        read_file(path, 0)
    except DamagedTask:
        return False
    return _is_locked(path)


def read_card(spool: Spool, name: str) -> Card | None:
    """Return the card of this name, None where there is none that can be read."""
    return _read(spool.path("processes", name), name)


@contextlib.contextmanager
def dead(spool: Spool, name: str) -> Iterator[bool]:
    """Hold the card of a dead process, so that only one process puts back what it left.

    The value is False where the process lives, or another already holds its card.
    """
    path = spool.path("processes", name)
    card = _read(path, name)  # to close it later would drop the lock on it
    if card is not None and (_own(path) or _is_running(card)):
        yield False
        return
    try:
        file = open(path, "r+b", opener=open_without_waiting)
    except OSError:
        yield is_gone(path)
        return
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def forget(spool: Spool, name: str) -> None:
    """Remove a dead process's card and running directory; a directory that holds files stays."""
    try:
        os.rmdir(spool.path("running", name))
    except FileNotFoundError:
        pass
    except OSError:
        return
    for path in (spool.path("processes", name), _beside(spool, name)):
        with contextlib.suppress(OSError):
            os.unlink(path)


def forget_unfinished(spool: Spool, before: float) -> None:
    """Remove the cards, begun ``before``, of processes that died before anyone could see them."""
    for name in names_in(spool.path("tmp")):
        path = spool.path("tmp", name)
        if name.startswith(UNFINISHED_CARD):
            with contextlib.suppress(OSError):
                is_old = os.lstat(path).st_mtime < before
                if is_old and is_unfinished(path) and not _is_locked(path):
                    os.unlink(path)


def _beside(spool: Spool, name: str) -> str:
    """Return where a card is written before all may see it."""
    return spool.path("tmp", f"{UNFINISHED_CARD}{name}")


def _own(path: str) -> Card | None:
    card = _held.get(path)
    return card if card and card.pid == os.getpid() else None


def _read(path: str, name: str) -> Card | None:
    if card := _own(path):
        return card
    try:
        with open(path, encoding="utf-8", opener=open_without_waiting) as file:
            card = Card(**{**json.load(file), "name": name})
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return card if card.is_sound else None


def _is_locked(path: str) -> bool:
    if _own(path):
        return True
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # locked, or for now nobody can tell
        return True
    return False


def lives(spool: Spool, name: str) -> bool:
    """Tell whether the process of this card lives, also one whose card only a newer version reads."""
    path = spool.path("processes", name)
    card = _read(path, name)
    return _is_locked(path) or (card is not None and _is_running(card))


def _is_running(card: Card) -> bool:
    return (
        card.started is not None
        and card.host == socket.gethostname()
        and _start_of(card.pid) == card.started
    )


def _start_of(pid: int) -> int | None:
    """Return when a process of this host was started, in ticks of its clock since the boot.

    None for one that has ended, though it may wait for its parent, and where the system does not
    tell. Source: proc_pid_stat(5), fields 3 and 22.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if state in (b"Z", b"X") else int(fields[18])
