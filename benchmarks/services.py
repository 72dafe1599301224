"""Servers of the run's own: nothing that a site uses is read or written."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PATIENCE = 10.0
"""Seconds a server has to come up."""


class Missing(Exception):
    """A server or package that is not there; the text says how to get it."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[dict[str, str]]:
    """Run a redis-server that keeps nothing on the disk; yield where it is. Raise Missing."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not installed. Try: apt-get install redis-server")
    port = free_port()
    server = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        cwd=directory,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + _PATIENCE
        while not listens(port):
            if time.monotonic() > until:
                raise Missing(f"redis-server did not come up on port {port}")
            time.sleep(0.02)
        yield {"BENCH_REDIS": str(port)}
    finally:
        server.terminate()
        server.wait(_PATIENCE)


@contextlib.contextmanager
def postgresql(directory: Path) -> Iterator[dict[str, str]]:
    """Make a database, yield where it is, and drop it. Raise Missing."""
    name = f"bench_{os.getpid()}_{secrets.token_hex(4)}"
    with _postgres() as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield {"BENCH_DATABASE": name}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def postgresql_facts() -> dict[str, str]:
    """Return what decides how fast the PostgreSQL server is. Raise Missing."""
    names = ("server_version", "fsync", "synchronous_commit")
    with _postgres() as connection:
        return {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in names}


@contextlib.contextmanager
def _postgres() -> Iterator["psycopg.Connection[tuple[str]]"]:  # noqa: F821
    import psycopg

    try:
        connection = psycopg.connect("dbname=postgres", autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise Missing(
            f"no PostgreSQL server lets us in ({str(error).strip()}). Start one, and say where with"
            " PGHOST, PGPORT, PGUSER and PGPASSWORD"
        ) from error
    with connection:
        yield connection


STARTERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[dict[str, str]]]] = {
    "redis": redis,
    "postgresql": postgresql,
}
