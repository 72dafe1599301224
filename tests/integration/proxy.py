"""A way to a database server that a test can cut: what goes through a socket in between."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.databases import KIND

_SOCKETS = {"postgresql": ".s.PGSQL.5432", "mariadb": "mysqld.sock"}


class Proxy:
    """Listens on a unix socket, and passes on to another one until it is cut."""

    def __init__(self, directory: Path, target: str) -> None:
        self._path = directory / _SOCKETS[KIND]
        self._target = target
        self._ends: list[socket.socket] = []
        self.mend()

    @property
    def host(self) -> str:
        """What HOST has to be in DATABASES."""
        return str(self._path.parent if KIND == "postgresql" else self._path)

    def mend(self) -> None:
        """Let connections through."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and let none through."""
        self._path.unlink(missing_ok=True)
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(databases: dict[str, Any], directory: Path) -> Iterator[tuple[Proxy, dict[str, Any]]]:
    """Give a proxy of the server these DATABASES name, and DATABASES that lead through it."""
    proxy = Proxy(directory, _real_socket())
    try:
        entry = {**databases["default"], "HOST": proxy.host}
        yield proxy, {"default": entry}
    finally:
        proxy.cut()


def _real_socket() -> str:
    from django.db import connection

    with connection._nodb_cursor() as cursor:
        if KIND == "mariadb":
            cursor.execute("SELECT @@socket")
            return str(cursor.fetchone()[0])
        cursor.execute("SHOW unix_socket_directories")
        return f"{cursor.fetchone()[0].split(',')[0]}/{_SOCKETS[KIND]}"
