"""The README's snippets, each used as a reader would: in a new site, served by a real uWSGI."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from .server import ROOT, wait_until

BIN = Path(sys.executable).parent
SNIPPET = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = os.environ | {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": str(ROOT)}
RECORD = "__import__('pathlib').Path({!r}).write_text(str(__import__('os').getppid()))"


@pytest.fixture(scope="module")
def snippets():
    found = SNIPPET.findall((ROOT / "README.md").read_text())
    assert [language for language, _ in found] == ["console", "python", "ini", "python"], (
        "the README has other snippets than those tried here"
    )
    return [text for _, text in found]


@pytest.fixture
def site(tmp_path, snippets):
    """Return the folder of a new project with the README's settings and its task."""
    _, settings, _, task = snippets
    run(BIN / "django-admin", "startproject", "mysite", ".", cwd=tmp_path)
    run(sys.executable, "manage.py", "startapp", "shop", cwd=tmp_path)
    with open(tmp_path / "mysite" / "settings.py", "a") as file:
        file.write(settings.replace("[...,", "[*INSTALLED_APPS, 'shop',"))
    definition = task[: task.index("send_welcome.enqueue")]
    (tmp_path / "shop" / "tasks.py").write_text(
        definition.replace("...", RECORD.format(str(tmp_path / "ran")))
    )
    run(sys.executable, "manage.py", "migrate", "--verbosity", "0", cwd=tmp_path)
    return tmp_path


def run(*command, cwd):
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_commands_are_targets_of_the_makefile(snippets):
    for command in snippets[0].splitlines():
        assert run(*command.split(), "--dry-run", cwd=ROOT)


def test_task_runs_at_once_in_a_shell(site, snippets):
    call = snippets[3].splitlines()[-1]
    code = (
        "from django.contrib.auth.models import User\n"
        "from shop.tasks import send_welcome\n"
        f"user = User.objects.create(username='x')\n{call}\n"
    )
    run(sys.executable, "manage.py", "shell", "-c", code, cwd=site)
    assert (site / "ran").exists()


def test_task_runs_in_a_spooler_of_uwsgi(site, snippets):
    lines = snippets[2].replace("/srv/mysite/spool", str(site / "spool"))
    with open(site / "mysite" / "urls.py", "a") as file:
        file.write(
            "\nfrom django.http import HttpResponse\nfrom shop.tasks import send_welcome\n"
            "urlpatterns += [\n"
            "    path('', lambda request: HttpResponse(send_welcome.enqueue(1).id))\n]\n"
        )
    (site / "uwsgi.ini").write_text(
        f"[uwsgi]\nmaster = true\ndie-on-term = true\nhttp-socket = 127.0.0.1:0\n"
        f"module = mysite.wsgi\nvirtualenv = {BIN.parent}\n{lines}"
    )
    log = site / "log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [BIN / "uwsgi", "--ini", "uwsgi.ini"],
            cwd=site,
            env=ENVIRONMENT,
            stdout=output,
            stderr=output,
        )
    try:
        port = wait_until(
            lambda: re.search(r"bound to TCP address 127\.0\.0\.1:(\d+)", log.read_text()),
            "uWSGI listens",
        )[1]
        with urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
        spoolers = re.findall(r"spawned the uWSGI spooler .* with pid (\d+)", log.read_text())
        wait_until(lambda: (site / "ran").exists() and (site / "ran").read_text(), "the task ran")
        assert (site / "ran").read_text() in spoolers
    except BaseException:
        print(log.read_text())
        raise
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
