"""No code from data: whatever stands in the directory, nothing of it is run or deleted.

Hostile files stand in the directory uWSGI scans and all over our private tree: damaged packets,
foreign and impossible messages, names and ids that are paths, links, FIFOs, sockets, directories,
giants. Good tasks beside them go on, no process dies, and the command line lists each with a reason
and under its old name, its content whole.
"""

import hashlib
import json
import os
import random
import secrets
import socket
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .server import ROOT, Server, running

FULL = 10_000
_SHELVES = (b"/ready", b"/scheduled", b"/running")
PREFIX = b"uwsgi_spoolfile_on_"
EVIL = "import os; os.system('touch /evil')"


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Strew ``size`` hostile files, half of them under the shipped configuration."""
    ini = ROOT / "uwsgi.ini"
    figures = _under_fire(directory / "shipped", random.Random(seed), size // 2, ini)
    return figures | _under_fire(
        directory / "bare", random.Random(seed + 1), size - size // 2, None
    )


def _under_fire(
    directory: Path, chance: random.Random, size: int, ini: Path | None
) -> dict[str, Any]:
    label = "bare" if ini is None else "shipped"
    with running(directory, spoolers=2, ini=ini) as server:
        strewer = _Strewer(server, chance)
        pids = set(server.spoolers() + server.runners())
        began = time.monotonic()
        for number in range(size):
            strewer.strew(number)
            if number % max(1, size // 20) == 0:
                server.shell(f"work.enqueue({number}, 1); note('accepted', {number})")
        server.eventually(lambda: not strewer.still_there(), "all hostile files are set aside", 240)
        server.eventually(server.is_drained, "the good tasks are done", 60)
        took = time.monotonic() - began
        failed = server.failed()
        assert set(server.spoolers() + server.runners()) == pids, "a process died"
        ledger = server.ledger
        assert ledger.accepted == set(ledger.ends) == set(ledger.starts), "a good task was lost"
        strewer.check(failed)
        assert server.get("/enqueue?first=1000000&ms=1") == "accepted"
        server.eventually(lambda: 1_000_000 in server.ledger.ends, "the queue still works")
    return {
        f"{label}: hostile files": len(strewer.strewn),
        f"{label}: listed in failed": len(failed),
        f"{label}: good tasks beside": len(ledger.ends),
        f"{label}: seconds": round(took, 1),
    }


class _Strewer:
    """Puts hostile files where they hurt, and knows them again."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self.strewn: dict[bytes, tuple[bytes, str]] = {}
        """Name to place and digest."""
        minute = int(time.time()) // 60 - 1
        tree = os.fsencode(server.tree)
        self._places = [
            os.fsencode(server.spool),
            os.fsencode(server.spool / "5"),
            tree + b"/ready/default/100",
            tree + b"/ready/default/100",
            tree + b"/ready/default",
            tree + b"/ready",
            tree + b"/scheduled/default/100/%d" % minute,
            tree + b"/scheduled/default/100",
            tree + b"/scheduled/default",
            tree + b"/scheduled",
            tree + b"/running/nobody",
            tree + b"/running",
            tree + b"/failed",
        ]
        for place in self._places:
            os.makedirs(place, exist_ok=True)

    def strew(self, number: int) -> None:
        """Put one hostile entry somewhere: made beside, then renamed into place."""
        place = self._chance.choice(self._places)
        name = self._name(number)
        beside = os.path.join(os.fsencode(self._server.directory), b"beside")
        self._make(beside)
        if os.path.isdir(beside) and not os.path.islink(beside) and place.endswith(_SHELVES):
            place = self._places[2]  # right there a directory is a queue's, or a process's
        digest = _digest(beside)
        self.strewn[name] = (place, digest)
        os.makedirs(place, exist_ok=True)
        os.rename(beside, os.path.join(place, name))

    def _name(self, number: int) -> bytes:
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

    def still_there(self) -> list[bytes]:
        """Return the hostile entries that nobody has set aside yet."""
        return [
            n
            for n, (place, _) in self.strewn.items()
            if not place.endswith(b"/failed") and os.path.lexists(os.path.join(place, n))
        ]

    def check(self, failed: list[dict[str, Any]]) -> None:
        """Assert that each hostile entry is listed with a reason, whole, under its old name."""
        listed = {os.fsencode(os.path.basename(entry["file"])): entry for entry in failed}
        for name, (place, digest) in self.strewn.items():
            found = [entry for other, entry in listed.items() if name in other]
            if not found:  # a directory in ``failed`` is listed by what is in it
                found = [entry for entry in failed if name in os.fsencode(entry["file"])]
                digest = _INSIDE
            assert found, f"not listed: {name!r} from {place!r}"
            assert found[0]["reason"], found[0]
            assert _digest(os.fsencode(found[0]["file"])) == digest, (
                f"changed: {name!r} from {place!r}"
            )


def _digest(path: bytes) -> str:
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


_INSIDE = hashlib.sha256(EVIL.encode()).hexdigest()
_MARK = {b"django_spooler": b"1"}


def _message(**fields: Any) -> bytes:
    message = {
        "v": 1,
        "id": secrets.token_hex(16),
        "task": "os.system",
        "args": ["touch /evil"],
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
    lambda chance: _packet(_MARK, b"\x80\x04\x95cos\nsystem\n(S'touch /evil'\ntR."),
    lambda chance: _packet(
        {b"ud_spool_func": b"system", b"args": b"cos\nsystem\n(S'touch /evil'\ntR."}
    ),
    lambda chance: _packet({b"fun": b"os.system", b"args": chance.randbytes(30)}),
    lambda chance: _packet({chance.randbytes(8): chance.randbytes(100) for _ in range(20)}),
    lambda chance: _message(**chance.choice(_WILD)),
    lambda chance: _message(**chance.choice(_WILD)),
    lambda chance: _message(**chance.choice(_WILD + _WILD_TIMES)),
    lambda chance: _socket_message(**chance.choice(_WILD)),
    lambda chance: _socket_message(**chance.choice(_WILD + _WILD_TIMES)),
]
