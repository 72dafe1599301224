"""A stop before uWSGI has come up, and a reload of the shipped configuration by a touch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .server import DEADLINE, wait_until
from .setups import SHIPPED

LOADING = "open('loading', 'w').close()\nopen('gates/gate').read()\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda signum: signum.name)
def test_stop_while_the_site_is_loaded_is_obeyed(launch, signum):
    # uWSGI ignores SIGTERM until its master's loop, and Python's handler swallows SIGINT: whoever
    # pressed Ctrl-C in the first second saw the server come up all the same.
    site = launch.site()
    site.close_gate("gate")
    (site.directory / "loads_long.py").write_text(LOADING)
    with subprocess.Popen(
        [
            Path(sys.executable).with_name("uwsgi"),
            *("--master", "--die-on-term", "--spooler", site.spool, "--module", "mysite.wsgi"),
            *("--http-socket", "127.0.0.1:0"),
            *("--import", "django_spooler.worker", "--import", "loads_long"),
        ],
        cwd=site.directory,
        env=site.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    ) as uwsgi:
        try:
            wait_until((site.directory / "loading").exists, "the site is being loaded")
            uwsgi.send_signal(signum)
            assert uwsgi.wait(DEADLINE) == -signum
        finally:
            uwsgi.kill()


def test_shipped_configuration_reloads_the_server_when_it_is_touched(launch):
    server = launch.server(SHIPPED)
    with server.reloading():
        later = time.time() + 2  # uWSGI looks at whole seconds
        os.utime(server.site.directory / "uwsgi.ini", (later, later))
    server.call("mysite.calls.enqueue", "shop.tasks.echo", ["after"], {})
    server.site.wait_for("echo")
