"""``make demo``: from a fresh checkout to a running site. Needs nothing but Python itself."""

import argparse
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VAR = ROOT / "var"
STAMP = VENV / "installed"
REQUIREMENTS = [f"{ROOT}[uwsgi]", "Pillow>=11"]


def main() -> None:
    """Install what is missing, then become uWSGI."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="9090")
    port = port_number(parser.parse_args().port)
    check_machine()
    check_port(port)
    check_writable(VAR / "spool")
    install()
    run("manage.py", "prepare_demo")
    print(f"The site:  http://127.0.0.1:{port}/\nThe admin: http://127.0.0.1:{port}/admin/")
    print("Ctrl-C ends it.", flush=True)
    os.chdir(ROOT)
    uwsgi = str(VENV / "bin" / "uwsgi")
    os.execv(uwsgi, [uwsgi, "--set-placeholder", f"port={port}", "--ini", "uwsgi.ini"])


def check_machine() -> None:
    """End with a sentence where Python cannot make the environment."""
    if sys.version_info < (3, 10):  # noqa: UP036
        stop(
            f"Python {sys.version.split()[0]} is too old: 3.10 or newer is needed."
            " Try: make demo PYTHON=python3.12"
        )
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        stop("Python's venv module is missing. Try: apt-get install python3-venv")


def port_number(text: str) -> int:
    """Return the port, or end with a sentence where the text is none."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        stop(f"{text!r} is no port. Try: make demo PORT=9091")
    return int(text)


def check_port(port: int) -> None:
    """End with a sentence where another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            stop(
                f"Port {port} is taken. End the program that has it, or try:"
                f" make demo PORT={port + 1}"
            )


def check_writable(spool: Path) -> None:
    """End with a sentence where the spool directory cannot be used."""
    try:
        spool.mkdir(parents=True, exist_ok=True)
        probe = spool / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        stop(
            f"The spool directory {spool} cannot be written ({error.strerror}). Give it to this user."
        )


def install() -> None:
    """Make the environment, unless it was made for this very setup.cfg."""
    wanted = hashlib.sha256(
        (ROOT / "setup.cfg").read_bytes() + sys.version.encode() + repr(REQUIREMENTS).encode()
    ).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        stop("A C compiler is missing, and uWSGI is built by one. Try: apt-get install gcc")
    print("Installing into .venv; the first time takes a minute ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--editable"]
    if subprocess.run([*pip, *REQUIREMENTS], check=False).returncode:
        stop("The packages could not be installed; pip's own message is above.")
    STAMP.write_text(wanted)


def run(*arguments: str) -> None:
    """Run the environment's Python in the checkout."""
    if subprocess.run([VENV / "bin" / "python", *arguments], cwd=ROOT, check=False).returncode:
        stop("The demo's database could not be prepared; the message is above.")


def stop(sentence: str) -> NoReturn:
    """End with one sentence on what is wrong and how to mend it."""
    sys.exit(f"make demo: {sentence}")


if __name__ == "__main__":
    main()
