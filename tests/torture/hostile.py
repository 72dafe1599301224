"""No code from data: whatever stands in the directory, nothing of it is run or deleted.

Hostile files stand in the directory uWSGI scans and all over our private tree: damaged packets,
foreign and impossible messages, names and ids that are paths, links, FIFOs, sockets, directories,
giants, what nobody may read or write. Half of them are there before the server starts. Good tasks
beside them go on, those other programs put there too; no process dies, and the command line lists
each hostile file with a reason and under its old name, its content whole. It does so again after
all of them were retried.

Root may read and move everything, so as root one round is served without that privilege.
"""

import fcntl
import hashlib
import json
import os
import pickle
import random
import secrets
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .server import ROOT, Server, running

FULL = 10_000
_IMMOVABLE = b"uwsgi_spoolfile_on_immovable"
_SHELVES = (b"/ready", b"/scheduled", b"/running", b"/failed", b"/django")
PREFIX = b"uwsgi_spoolfile_on_"
EVIDENCE = Path(tempfile.gettempdir(), f"evil-{os.getpid()}")
"""Made by hostile code, should it run."""

EVIL = f"import os; os.system('touch {EVIDENCE}')"
NOBODY = 65534
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner")


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Strew ``size`` hostile files, half of them under the shipped configuration."""
    ini = ROOT / "uwsgi.ini"
    figures = _under_fire(directory / "shipped", random.Random(seed), size // 2, {"ini": ini})
    unprivileged = {"prefix": UNPRIVILEGED if os.geteuid() == 0 else ()}
    return figures | _under_fire(
        directory / "bare", random.Random(seed + 1), size - size // 2, unprivileged
    )


def _under_fire(
    directory: Path, chance: random.Random, size: int, options: dict[str, Any]
) -> dict[str, Any]:
    label = directory.name
    with running(directory, spoolers=2, **options) as server:
        server.stop()
        strewer = _Strewer(server, chance)
        if options.get("prefix"):
            strewer.put_immovable()
        began = time.monotonic()
        for number in range(size // 2):
            strewer.strew(number)
        server.start()
        pids = set(server.spoolers() + server.runners())
        slow = threading.Thread(target=strewer.write_slowly, args=(2_000_000,))
        slow.start()
        for number in range(size // 2, size):
            strewer.strew(number)
            if number % max(1, size // 8) == 0:
                server.shell(f"work.enqueue({number}, 1); note('accepted', {number})")
        slow.join()
        _wait_for_all(server, strewer)
        took = time.monotonic() - began
        strewer.check(server.failed())
        server.manage("retry", "--all")
        _wait_for_all(server, strewer)
        failed = server.failed()
        strewer.check(failed)
        assert all(path.is_dir() for path in strewer.immovable)
        server.manage("list", "--state", "failed")
        assert set(server.spoolers() + server.runners()) == pids, "a process died"
        ledger = server.ledger
        done = set(ledger.ends)
        assert ledger.accepted | strewer.good == done == set(ledger.starts), "a good task was lost"
        assert not EVIDENCE.exists(), "hostile code was run"
        assert server.get("/enqueue?first=1000000&ms=1") == "accepted"
        server.eventually(lambda: 1_000_000 in server.ledger.ends, "the queue still works")
    return {
        f"{label}: hostile files": len(strewer.strewn),
        f"{label}: listed in failed": len(failed),
        f"{label}: good tasks beside": len(ledger.ends),
        f"{label}: seconds": round(took, 1),
    }


def _wait_for_all(server: Server, strewer: "_Strewer") -> None:
    server.eventually(lambda: not strewer.left(), "all hostile files are set aside", 240)
    server.eventually(server.is_drained, "the good tasks are done", 60)


class _Strewer:
    """Puts hostile files where they hurt, and knows them again."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self.strewn: dict[bytes, tuple[bytes, str]] = {}
        """Name to place and digest."""
        self.good: set[int] = set()
        """The numbers of tasks that another program put there whole."""
        self.immovable: list[Path] = []
        """Another user's directories, which only root can move: they must hold nothing up."""
        minute = int(time.time()) // 60 - 1
        tree = os.fsencode(server.tree)
        self._spool = os.fsencode(server.spool)
        self._ready = tree + b"/ready/default/100"
        self._places = [
            *[self._spool] * 5,
            *[self._spool + b"/5"] * 3,
            self._spool + b"/17",
            self._ready,
            self._ready,
            tree + b"/ready/default",
            tree + b"/ready",
            tree + b"/scheduled/default/100/%d" % minute,
            tree + b"/scheduled/default/100",
            tree + b"/scheduled/default",
            tree + b"/scheduled",
            tree + b"/running/nobody",
            tree + b"/running",
            tree + b"/failed",
            tree + b"/tmp",
            tree + b"/processes",
            tree + b"/counts",
            tree,
        ]
        for place in self._places:
            os.makedirs(place, exist_ok=True)

    def strew(self, number: int) -> None:
        """Put one hostile entry somewhere, now and then with a good task in its wake.

        It is made beside and renamed into place, or written in place as a careless program does.
        """
        place = self._chance.choice(self._places)
        name = self._name(number, place)
        if self._chance.random() < 0.05:
            self._put_good_task(1_000_000 + number)
        beside = os.path.join(os.fsencode(self._server.directory), b"beside")
        self._make(beside)
        if b"/scheduled/" not in place and self._chance.random() < 0.1:
            os.utime(beside, (0, time.time() + 1e6), follow_symlinks=False)
        if os.path.isdir(beside) and not os.path.islink(beside) and place.endswith(_SHELVES):
            place = self._spool  # right there a directory is a queue's, a process's or an entry
        if os.path.isdir(beside) and name.isdigit():
            name = PREFIX + name
        if os.geteuid() == 0 and self._chance.random() < 0.1 and not os.path.isdir(beside):
            os.chown(beside, NOBODY, NOBODY, follow_symlinks=False)
        self.strewn[name] = (place, _digest(beside))
        os.makedirs(place, exist_ok=True)
        os.rename(beside, os.path.join(place, name))

    def put_immovable(self) -> None:
        """Put directories of another user's everywhere."""
        for place in self._places:
            path = Path(os.fsdecode(place + b"/" + _IMMOVABLE))
            if not place.endswith(_SHELVES) and not path.exists():
                path.mkdir(mode=0o755)
                os.chown(path, NOBODY, NOBODY)
                self.immovable.append(path)

    def _put_good_task(self, number: int) -> None:
        """Put a whole task of ours where uWSGI's own producers and external ones put theirs."""
        place = self._chance.choice([self._spool, self._spool + b"/5", self._ready])
        name = PREFIX + self._chance.choice(_NAMES) + b"_good_%d" % number
        beside = os.path.join(os.fsencode(self._server.directory), b"good")
        Path(os.fsdecode(beside)).write_bytes(_good_message(number))
        os.rename(beside, os.path.join(place, name))
        self.good.add(number)

    def write_slowly(self, number: int) -> None:
        """Write a good task as ``uwsgi.spool`` does, at a snail's pace: open, lock, write."""
        content = _good_message(number)
        with open(os.path.join(self._spool, PREFIX + b"slow_1_2_3_4_5"), "xb", buffering=0) as file:
            time.sleep(1)
            fcntl.lockf(file, fcntl.LOCK_EX)
            for part in (content[:3], content[3:9], content[9:60], content[60:]):
                file.write(part)
                time.sleep(0.4)
        self.good.add(number)

    def _name(self, number: int, place: bytes) -> bytes:
        if place == self._spool and self._chance.random() < 0.03:
            return b"%d" % (70_000_000 + number)  # a file where a priority's directory belongs
        name = PREFIX + self._chance.choice(_NAMES) + b"_%d." % number
        return (
            name
            if self._chance.random() < 0.9
            else name.ljust(self._chance.choice([236, 255]), b"x")
        )

    def _make(self, path: bytes) -> None:
        kind = self._chance.random()
        if kind < 0.04:
            os.symlink(self._chance.choice([b"/etc/passwd", b"nowhere", b"/dev/zero", b"."]), path)
        elif kind < 0.06:
            os.mkfifo(path)
        elif kind < 0.08:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
        elif kind < 0.10:
            os.mkdir(path)
            Path(os.fsdecode(path), "inside").write_text(EVIL)
        else:
            with open(path, "wb") as file:
                if kind < 0.102:
                    file.write(self._chance.choice([b"", _packet(_MARK, b'{"v":1,"id":"x"')]))
                    file.truncate(self._chance.choice([900 << 20, 3 << 30]))
                else:
                    file.write(self._content())
            os.utime(path, (time.time() - 100, time.time() - 100))
            if self._chance.random() < 0.1:
                os.chmod(path, self._chance.choice([0o000, 0o200, 0o444]))

    def _content(self) -> bytes:
        content = self._chance.choice(_CONTENTS)(self._chance)
        if self._chance.random() < 0.3:
            content = content[: self._chance.randrange(len(content) + 1)]
        if content and self._chance.random() < 0.2:
            broken = bytearray(content)
            broken[self._chance.randrange(min(4, len(broken)))] = self._chance.randrange(256)
            content = bytes(broken)
        return content

    def left(self) -> list[bytes]:
        """Return the hostile entries that nobody has set aside yet, where they were put or back."""
        places = {place for place, _ in self.strewn.values() if not place.endswith(b"/failed")}
        return [
            os.path.join(place, name)
            for place in places
            if os.path.isdir(place)
            for name in os.listdir(place)
            if name in self.strewn or name.startswith(PREFIX)
            if name != _IMMOVABLE and not name.startswith(PREFIX + b"!")
        ]

    def check(self, failed: list[dict[str, Any]]) -> None:
        """Assert that each hostile entry is listed with a reason, whole, under its old name."""
        listed = {os.fsencode(os.path.basename(entry["file"])): entry for entry in failed}
        for name, (place, digest) in self.strewn.items():
            found = [listed[name]] if name in listed else []
            found = found or [entry for other, entry in listed.items() if name in other]
            assert found, f"not listed: {name!r} from {place!r}"
            assert found[0]["reason"], found[0]
            assert _digest(os.fsencode(found[0]["file"])) == digest, (
                f"changed: {name!r} from {place!r}"
            )


def _digest(path: bytes) -> str:
    """Return what tells one entry from another; a giant's size has to do."""
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        if status.st_size > 1 << 20:
            return f"{status.st_size}"
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    if stat.S_ISLNK(status.st_mode):
        return os.fsdecode(os.readlink(path))
    return f"{stat.S_IFMT(status.st_mode)}"


def _packet(variables: dict[bytes, bytes], body: bytes = b"") -> bytes:
    texts = b"".join(
        struct.pack("<H", len(text)) + text for pair in variables.items() for text in pair
    )
    return struct.pack("<BHB", 17, len(texts), 0) + texts + body


_MARK = {b"django_spooler": b"1"}


def _message(**fields: Any) -> bytes:
    message = {
        "v": 1,
        "id": secrets.token_hex(16),
        "task": "os.system",
        "args": [f"touch {EVIDENCE}"],
        "kwargs": {},
        "queue": "default",
        "priority": 0,
        "backend": "default",
        "enqueued_at": 1.0,
        "run_after": None,
    }
    return _packet(_MARK, json.dumps({**message, **fields}).encode() + b"\n")


def _socket_message(**fields: Any) -> bytes:
    """One without a body, as it comes through a socket."""
    body = _message(**fields).partition(b'{"v"')
    return _packet({**_MARK, b"message": body[1] + body[2]})


def _good_message(number: int) -> bytes:
    return _message(task="tests.torture.site.tasks.work", args=[number])


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {EVIDENCE}",)


_PICKLE = pickle.dumps(_Evil())

_NAMES = [
    b"host_1_2_3_4_5",
    b"..",
    b"a;a=2",
    b"a;a=999999999;r=1",
    b"\xff\xfe\x80",
    b"new\nline",
    b"x y'\"`$(id)",
    b"\xf0\x9f\x92\xa3",
    b";why",
    b"host_1_99999999999999999999_3_99999999999999999999_5",
    b"100:default:x",
]
_WILD: list[dict[str, Any]] = [
    {},
    {"task": "posix.system"},
    {"task": "../../etc/passwd"},
    {"task": "\ud800"},
    {"task": None},
    {"v": 2},
    {"v": 10**30},
    {"v": True},
    {"v": "1"},
    {"v": None},
    {"queue": "../../.."},
    {"queue": "\ud800"},
    {"queue": "x" * 300},
    {"id": "../../../evil"},
    {"id": "\U0001d7d8" * 64},
    {"id": ""},
    {"id": "x" * 5000},
    {"id": ";why"},
    {"priority": 10**400},
    {"priority": -101},
    {"priority": 1.5},
    {"enqueued_at": 1e300},
    {"enqueued_at": 10**100},
    {"enqueued_at": -1e18},
    {"extra": 1},
    {"args": {}},
    {"kwargs": []},
    {"backend": "\ud800" * 10},
]
_WILD_TIMES: list[dict[str, Any]] = [
    {"run_after": 1e300},
    {"run_after": -1e300},
    {"run_after": 10**400},
]
_CONTENTS: list[Callable[[random.Random], bytes]] = [
    lambda chance: chance.randbytes(chance.randrange(200)),
    lambda chance: b"\0" * chance.randrange(1, 5000),
    lambda chance: b"\x11\xff\xff\0" + chance.randbytes(50),
    lambda chance: _packet(_MARK),
    lambda chance: _packet(_MARK, b"[" * 200_000 + b"\n"),
    lambda chance: _packet(_MARK, b'{"v":1,"args":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"),
    lambda chance: _packet(_MARK, b'{"v":' + b"9" * 10_000 + b"}\n"),
    lambda chance: _packet(_MARK, b'{"v":1,"priority":1e999,"enqueued_at":NaN}\n'),
    lambda chance: _packet(_MARK, _PICKLE),
    lambda chance: _packet({b"ud_spool_func": b"system", b"args": _PICKLE, b"kwargs": _PICKLE}),
    lambda chance: _packet({b"ud_spool_func": b"system"}, _PICKLE),
    lambda chance: _packet({b"fun": b"os.system", b"args": _PICKLE}),
    lambda chance: _packet({chance.randbytes(8): chance.randbytes(100) for _ in range(20)}),
    lambda chance: _message(**chance.choice(_WILD)),
    lambda chance: _message(**chance.choice(_WILD)),
    lambda chance: _message(**chance.choice(_WILD + _WILD_TIMES)),
    lambda chance: _socket_message(**chance.choice(_WILD)),
    lambda chance: _socket_message(**chance.choice(_WILD + _WILD_TIMES)),
]
