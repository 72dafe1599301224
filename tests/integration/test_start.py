"""A stop before uWSGI has come up, and a reload of the shipped configuration by a touch."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import DEADLINE, Site, wait_until
from .setups import SHIPPED

STOPPING = """\
import signal, sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Stop())
"""
LOADING = "open('loading', 'w').close()\nopen('gates/gate').read()\n"


@contextlib.contextmanager
def starting(site: Site, module: str, *after: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a uWSGI that imports a module of the site's directory, then our worker."""
    with subprocess.Popen(
        [
            Path(sys.executable).with_name("uwsgi"),
            *("--master", "--die-on-term", "--spooler", site.spool, "--module", "mysite.wsgi"),
            *("--http-socket", "127.0.0.1:0"),
            *(f"--import={name}" for name in (module, "django_spooler.worker", *after)),
        ],
        cwd=site.directory,
        env=site.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    ) as uwsgi:
        try:
            yield uwsgi
        finally:
            uwsgi.kill()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda signum: signum.name)
def test_stop_while_the_site_is_loaded_is_obeyed(launch, signum):
    # uWSGI ignores SIGTERM until its master's loop, and Python's handler swallows SIGINT: whoever
    # pressed Ctrl-C in the first second saw the server come up all the same.
    site = launch.site()
    site.close_gate("gate")
    (site.directory / "loads_long.py").write_text(LOADING)
    with starting(site, "os", "loads_long") as uwsgi:
        wait_until((site.directory / "loading").exists, "the site is being loaded")
        uwsgi.send_signal(signum)
        assert uwsgi.wait(DEADLINE) == -signum


@pytest.mark.parametrize("module", ["django_spooler", "django_spooler.decorators"])
def test_stop_while_our_worker_is_imported_is_obeyed(launch, module):
    # The import was broken off and the server came up without it: no task ever ran.
    site = launch.site()
    (site.directory / "stops.py").write_text(STOPPING.format(module=module))
    with starting(site, "stops") as uwsgi:
        assert uwsgi.wait(DEADLINE) == -signal.SIGINT


def test_shipped_configuration_reloads_the_server_when_it_is_touched(launch):
    server = launch.server(SHIPPED)
    with server.reloading():
        later = time.time() + 2  # uWSGI looks at whole seconds
        os.utime(server.site.directory / "uwsgi.ini", (later, later))
    server.call("mysite.calls.enqueue", "shop.tasks.echo", ["after"], {})
    server.site.wait_for("echo")
