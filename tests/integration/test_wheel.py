"""What a user installs: the app whole and nothing else, and a site that runs on it."""

import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from urllib.request import urlopen

import django
import pytest

from tests import checkout

from .server import free_ports, wait_until

SETTINGS = """
INSTALLED_APPS = ["django_cron", "django_spooler", *INSTALLED_APPS]
TASKS = {"default": {"BACKEND": "django_spooler.backend.SpoolerBackend"}}
"""
URLS = """
import os, sys
from django.http import JsonResponse
from django.urls import path
from django_spooler import spooler_task

@spooler_task
def write(name):
    with open(name, "w") as file:
        file.write(f"{os.getpid()} {'django_tasks' in sys.modules}")

def enqueue(request):
    write.enqueue(request.GET["name"])
    return JsonResponse({"pid": os.getpid()})

urlpatterns = [path("", enqueue)]
"""


def run(*command, cwd):
    """Return what a program prints; it knows nothing of this checkout."""
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE")
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a clean copy: a build in place takes up what an older one left."""
    source = checkout.copy_to(tmp_path_factory.mktemp("source"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", source, cwd=source)
    (wheel,) = source.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """Return the folder of a new project with an environment that has only the wheel."""
    folder = tmp_path_factory.mktemp("project")
    run(sys.executable, "-m", "venv", "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    wanted = [f"{wheel}[uwsgi]", f"Django=={django.__version__}"]
    run(python, "-m", "pip", "install", "--quiet", *wanted, cwd=folder)
    run(folder / "venv/bin/django-admin", "startproject", "mysite", ".", cwd=folder)
    with (folder / "mysite" / "settings.py").open("a") as file:
        file.write(SETTINGS)
    (folder / "mysite" / "urls.py").write_text(URLS)
    return folder


def manage(site, *arguments):
    return run(site / "venv/bin/python", "manage.py", *arguments, cwd=site)


def test_wheel_holds_the_app_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == set(checkout.files("django_spooler"))


def test_wheel_says_what_it_is_and_brings_its_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(archive.read(metadata))
    assert told["Name"] == "django-spooler"
    assert told["License-Expression"] == "BSD-3-Clause"
    assert told["Requires-Python"] == ">=3.10"
    assert {"uwsgi", "prometheus"} <= set(told.get_all("Provides-Extra"))
    assert told.get_payload() == (checkout.ROOT / "README.md").read_text()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_new_site_has_nothing_to_complain_of(site):
    assert "no issues" in manage(site, "check")
    assert "No changes detected" in manage(
        site, *["makemigrations", "--check", "--dry-run", "django_spooler"]
    )
    manage(site, "migrate", "--verbosity=0")
    assert "[ ]" not in manage(site, "showmigrations", "django_spooler")


def test_new_site_runs_a_task_in_uwsgi_spooler(site):
    (port,) = free_ports(1)
    log = site / "uwsgi.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [
                site / "venv/bin/uwsgi",
                *("--master", "--die-on-term", "--http-socket", f"127.0.0.1:{port}"),
                *("--module", "mysite.wsgi", "--virtualenv", site / "venv"),
                *("--spooler", site / "spool", "--import", "django_spooler.worker"),
            ],
            cwd=site,
            env=ENVIRONMENT,
            stdout=output,
            stderr=output,
        ) as uwsgi,
    ):
        try:
            ran = site / "ran"
            wait_until(lambda: b"spawned uWSGI worker 1" in log.read_bytes(), "uWSGI is up")
            with urlopen(f"http://127.0.0.1:{port}/?name={ran}", timeout=30) as answer:
                web_worker = answer.read().decode()
            wait_until(lambda: ran.exists() and ran.read_text(), "the task has run")
        except BaseException:
            print(log.read_text())
            raise
        finally:
            uwsgi.terminate()
            uwsgi.wait(30)
    pid, backport_is_used = ran.read_text().split()
    assert pid not in web_worker
    assert backport_is_used == str(django.VERSION < (6, 0))
