"""``make demo`` as a newcomer runs it: in a clean checkout, which gets its packages from PyPI."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest

from tests.checkout import copy_to

from .server import DeadlineError, free_ports, living_sessions, wait_until

MAKE = shutil.which("make")
INSTALLED_WITHIN = 300
"""Seconds; uWSGI may have to be built."""

MISSING_MODULE = "import sys\nsys.modules['ensurepip'] = None\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a clean copy of this checkout, below a name that a shell would split."""
    return copy_to(tmp_path_factory.mktemp("demo") / "a checkout")


class Demo:
    """One ``make demo``, in the foreground of a terminal of its own."""

    def __init__(self, checkout, log, port, *variables):
        self.port = port
        self._log = log
        with log.open("wb") as output:
            self.make = subprocess.Popen(
                [MAKE, "demo", f"PORT={port}", *variables],
                cwd=checkout,
                env=clean_environment(PYTHON=sys.executable),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def said(self):
        return self._log.read_text(errors="replace")

    def wait_until_ready(self):
        """Wait until it says where the site is; that is its last word of the start."""
        wait_until(
            lambda: "\nThe site is at " in self.said or self.make.poll() is not None,
            "the site is up",
            INSTALLED_WITHIN,
        )
        assert self.make.poll() is None, self.said

    def get(self, path):
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def is_healthy(self):
        try:
            return '"healthy": true' in self.get("/health/spooler/")
        except HTTPError as error:
            assert error.code == HTTPStatus.SERVICE_UNAVAILABLE
            return False

    def press(self, button):
        """Press a button of the queue page."""
        visitor = build_opener(HTTPCookieProcessor())
        address = f"http://127.0.0.1:{self.port}/queue/"
        page = visitor.open(address, timeout=30).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        fields = urlencode({"csrfmiddlewaretoken": token}).encode()
        visitor.open(f"{address}{button}/", fields, timeout=30).close()

    def wait_for(self, words):
        wait_until(lambda: words in self.said, words)

    def press_ctrl_c(self):
        """Send what a terminal sends: SIGINT to every process in the foreground."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.make.pid, signal.SIGINT)

    @property
    def processes(self):
        return [pid for pid, session in living_sessions() if session == self.make.pid]

    def end(self):
        """Press Ctrl-C once, and fail where a process is left."""
        self.press_ctrl_c()
        try:
            wait_until(lambda: self.make.poll() is not None, "make has ended")
            wait_until(lambda: not self.processes, "all its processes have ended")
        except DeadlineError:
            print(self.said)
            for pid in self.processes:
                os.kill(pid, signal.SIGKILL)
            self.make.wait()
            raise


@pytest.fixture
def start(checkout, tmp_path):
    """Start demos, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*variables):
            (port,) = free_ports(1)
            demo = Demo(checkout, tmp_path / f"log-{port}", port, *variables)
            stack.callback(demo.end)
            return demo

        yield start


def clean_environment(**variables):
    """Return this process's environment without what its own virtual environment adds."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH", "DJANGO_SETTINGS_MODULE")
        and not name.startswith(("MAKE", "MFLAGS"))  # of the make that runs the tests
    }
    return inherited | variables


@pytest.mark.parametrize("server", ["uWSGI", "pyuwsgi"])
def test_fresh_checkout_serves_the_site_and_ctrl_c_ends_it(checkout, start, server):
    for made in (".venv", "var", "spool"):
        shutil.rmtree(checkout / made, ignore_errors=True)

    # Two at once: a second make must not install into the first one's environment.
    first, other = start(f"SERVER={server}"), start(f"SERVER={server}")
    for demo in (first, other):
        demo.wait_until_ready()
        assert "A wall for your photos" in demo.get("/")
        assert "Django administration" in demo.get("/admin/login/")
        assert ".module" in demo.get("/static/admin/css/base.css")
        assert "demo_project.status.crons.log_the_queue" in demo.get("/queue/")
        wait_until(demo.is_healthy, "its spooler has come up too")
        demo.end()
    told = re.findall(r"^Password: +\S{12} ", first.said + other.said, re.MULTILINE)
    assert len(told) == 1

    assert "Traceback" not in first.said + other.said

    second = start(f"SERVER={server}")
    second.wait_until_ready()
    assert "Installing" not in second.said
    assert "Password" not in second.said


def test_task_that_ctrl_c_cuts_runs_at_the_next_start(start):
    cut = start()
    cut.wait_until_ready()
    cut.press("slow")  # five seconds
    cut.wait_for("take_a_while state=RUNNING")
    cut.end()
    assert "take_a_while state=SUCCESSFUL" not in cut.said

    next_one = start()
    next_one.wait_until_ready()
    next_one.wait_for("take_a_while state=SUCCESSFUL")


def refusal(checkout, *variables, **environment):
    """Return the one sentence with which ``make demo`` ends before it starts."""
    ran = subprocess.run(
        [MAKE, "demo", *variables],
        cwd=checkout,
        env=clean_environment(**{"PYTHON": sys.executable} | environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALLED_WITHIN,
    )
    assert ran.returncode != 0, ran.stdout
    assert "Traceback" not in ran.stdout
    said = [line for line in ran.stdout.splitlines() if not line.startswith("make: ***")]
    assert said[-1].startswith("make demo: "), ran.stdout
    return said[-1]


def test_taken_port_is_told_with_a_free_one_to_try(checkout):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sentence = refusal(checkout, f"PORT={port}")
    assert f"Port {port} is taken." in sentence
    assert f"make demo PORT={port + 1}" in sentence


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "9090 9091", ""])
def test_what_is_no_port_is_told(checkout, port):
    assert "is no port. Try: make demo PORT=" in refusal(checkout, f"PORT={port}")


def test_unknown_server_is_told(checkout):
    assert "There is no server 'gunicorn'." in refusal(checkout, "SERVER=gunicorn")


def test_missing_compiler_is_told_before_anything_is_installed(checkout):
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    sentence = refusal(checkout, "SERVER=uWSGI", PATH="/nowhere")
    assert "A C compiler is missing" in sentence
    assert "apt-get install gcc" in sentence
    assert not (checkout / ".venv").exists()


def test_missing_venv_module_is_told(checkout, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(MISSING_MODULE)
    sentence = refusal(checkout, PYTHONPATH=str(tmp_path))
    assert "venv module is missing. Try: apt-get install python3-venv" in sentence


def test_missing_python_is_told(checkout):
    sentence = refusal(checkout, PYTHON="python-that-is-not-there")
    assert "python-that-is-not-there is missing, or older than 3.10." in sentence


def test_old_python_is_told(checkout, tmp_path):
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2; exit 1\n")
    old.chmod(0o755)
    sentence = refusal(checkout, PYTHON=str(old))
    assert "is missing, or older than 3.10. Try:" in sentence


def test_unwritable_spool_directory_is_told(checkout):
    shutil.rmtree(checkout / "spool", ignore_errors=True)
    # Even root cannot make a file there.
    (checkout / "spool").symlink_to("/sys/kernel")
    try:
        sentence = refusal(checkout, PORT=str(*free_ports(1)))
    finally:
        (checkout / "spool").unlink()
    assert f"The spool directory {checkout / 'spool'} cannot be written (" in sentence
    assert "Give it to this user" in sentence


def test_missing_network_is_told_and_a_later_start_installs_anew(checkout):
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    sentence = refusal(
        checkout,
        PORT=str(*free_ports(1)),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
    )
    assert "The packages could not be installed: " in sentence
    assert "Is the network there?" in sentence
    assert not (checkout / ".venv" / "installed").exists()
