"""What a run was made on."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .field import Peer
from .instance import uwsgi_program
from .services import Missing, postgresql_facts


def facts(directory: Path, services: set[str]) -> dict[str, str]:
    """Return what decides the figures beside the code. Raise Missing for a server."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Django": version("Django"),
        "directory": f"{directory} ({file_system(directory)})",
    }
    if "redis" in services:
        found["Redis"] = _redis_version()
    if "postgresql" in services:
        server = postgresql_facts()
        found["PostgreSQL"] = (
            f"{server['server_version']}, fsync {server['fsync']}, synchronous_commit"
            f" {server['synchronous_commit']}"
        )
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(directory: Path) -> str:
    """Return the kind of file system the directory is on, from ``/proc/mounts``."""
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if directory.resolve().is_relative_to(point):
            found = max(found, (point, kind), key=lambda entry: len(entry[0]))
    return found[1]


def _redis_version() -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not installed. Try: apt-get install redis-server")
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return said.stdout.partition("v=")[2].split()[0]


def versions(peer: Peer) -> dict[str, str]:
    """Return the versions of what a peer is made of. Raise Missing."""
    if peer.uwsgi_import:
        uwsgi_program()
    try:
        return {name: version(name) for name in peer.packages}
    except PackageNotFoundError as error:
        raise Missing(
            f"the package {error.name} is not installed. Try: {sys.executable} -m pip install -r"
            " benchmarks/requirements.txt"
        ) from error


def load() -> float:
    """Return how many processes wanted to run in the last minute: more than 1 disturbs a run."""
    return os.getloadavg()[0]
