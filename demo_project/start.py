"""``make demo``: from a fresh checkout to a running site. Needs nothing but Python itself.

What it makes: the environment in .venv, and in var and spool what the site writes.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
PIP_LOG = VENV / "pip.log"
LOCK = ROOT / "var" / "lock"
SPOOL = ROOT / "spool"
SITE = [f"--editable={ROOT}", "Pillow>=11"]
VERSION = ">=2.0.28"
SERVERS = ("pyuwsgi", "uWSGI")
"""The same server: the first comes ready-made where the platform is a common one, the second is
built here."""


def main() -> None:
    """Install what is missing, then become uWSGI."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="9090")
    parser.add_argument("--server", default=SERVERS[0])
    arguments = parser.parse_args()
    port = port_number(arguments.port)
    server = server_name(arguments.server)
    check_venv_can_be_made()
    for directory in (SPOOL, LOCK.parent, ROOT):
        check_writable(directory)
    check_port(port)
    with one_at_a_time():
        install(server)
        prepare()
    check_port(port)  # another may have taken it meanwhile
    serve(port)


def port_number(text: str) -> int:
    """Return the port, or end with a sentence where the text is none."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        stop(f"{text!r} is no port. Try: make demo PORT=9091")
    return int(text)


def server_name(text: str) -> str:
    """Return the server's name, or end with a sentence where there is none of this name."""
    if text not in SERVERS:
        stop(f"There is no server {text!r}. Try: make demo SERVER={SERVERS[0]}")
    return text


def check_venv_can_be_made() -> None:
    """End with a sentence where Debian has split off what Python needs for it."""
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        stop("Python's venv module is missing. Try: apt-get install python3-venv")


def check_writable(directory: Path) -> None:
    """End with a sentence where this user cannot make files there."""
    probe = directory / f".probe-{os.getpid()}"
    try:
        directory.mkdir(exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        name = "The spool directory" if directory == SPOOL else "The directory"
        stop(
            f"{name} {directory} cannot be written ({error.strerror})."
            " Give it to this user, or use a clone of your own."
        )


def check_port(port: int) -> None:
    """End with a sentence where another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            stop(f"Port {port} is for root alone. Try: make demo PORT=9091")
        except OSError:
            stop(
                f"Port {port} is taken. End the program that has it, or try:"
                f" make demo PORT={port + 1 if port < 65535 else 9091}"
            )


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep two starts in one checkout from installing into each other."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make demo prepares this checkout; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(server: str) -> None:
    """Make the environment, unless it was made by this Python for this very setup.cfg."""
    parts = [
        sys.version,
        sys.executable,
        str(VENV),
        server,
        *SITE,
        (ROOT / "setup.cfg").read_text(),
    ]
    wanted = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    if server == "uWSGI":
        check_can_compile()
    print("Installing into .venv; the first time takes a minute ...", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if made.returncode:
        stop(
            f"The environment .venv could not be made: {last_line(made.stdout)}."
            " Try: apt-get install python3-venv"
        )
    install_packages(server)
    STAMP.write_text(wanted)


def install_packages(server: str) -> None:
    """Install the site and its server. Where pyuwsgi is not ready-made, uWSGI is built instead."""
    if not pip("install", *SITE):
        stop(
            f"The packages could not be installed: {last_line(PIP_LOG.read_text())}."
            f" Is the network there? All that pip says is in {PIP_LOG}"
        )
    if server == "pyuwsgi" and pip("install", "--only-binary=pyuwsgi", f"pyuwsgi{VERSION}"):
        return
    check_can_compile()
    print("Building uWSGI ...", flush=True)
    if not pip("install", f"uWSGI{VERSION}"):
        stop(
            f"uWSGI could not be built: {last_line(PIP_LOG.read_text())}."
            f" All that the compiler says is in {PIP_LOG}"
        )


def check_can_compile() -> None:
    """End with a sentence where uWSGI cannot be built."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "gcc"
    if not shutil.which(compiler.split()[0]):
        stop(
            "A C compiler is missing, and uWSGI is built by one."
            " Try: apt-get install gcc python3-dev"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        stop("Python.h is missing, and uWSGI is built with it. Try: apt-get install python3-dev")


def pip(*arguments: str) -> bool:
    """Run pip in the environment; tell whether it succeeded. What it says is in PIP_LOG."""
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments]
    with PIP_LOG.open("w") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode == 0


def last_line(text: str) -> str:
    """Return what a failed program said last, preferably about an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR:").strip().rstrip(".")


def prepare() -> None:
    """Bring database, static files and the admin's user up to date."""
    if subprocess.run([PYTHON, "manage.py", "prepare_demo"], cwd=ROOT).returncode:
        stop("The demo's database could not be prepared; the message is above.")


def serve(port: int) -> NoReturn:
    """Become uWSGI, whose own words end with where to look."""
    uwsgi = VENV / "bin" / "uwsgi"
    site = f"http://127.0.0.1:{port}/"
    command = [str(uwsgi), "--set-placeholder", f"port={port}", "--ini", "uwsgi.ini"]
    words = f"The site is at {site} and the admin at {site}admin/ - Ctrl-C ends both."
    command += ["--hook-accepting1-once", f"print:{words}"]
    if uwsgi.read_bytes().startswith(b"#!"):
        # pyuwsgi is a module: its reload starts a Python again, which has to be this one.
        command += ["--binary-path", str(PYTHON)]
    os.chdir(ROOT)
    os.execv(uwsgi, command)


def stop(sentence: str) -> NoReturn:
    """End with one sentence on what is wrong and how to mend it."""
    sys.exit(f"make demo: {sentence}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
