"""What a user installs: the app whole, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", directory, ROOT]
    subprocess.run(command, check=True)
    return next(directory.glob("*.whl"))


def test_wheel_holds_the_app_and_nothing_else(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "django_spooler"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert files == set(listed.stdout.split())


def test_installed_wheel_runs_a_task_in_a_new_site(wheel, tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    (tmp_path / "tasks.py").write_text(
        "from django_spooler import spooler_task\n\n\n"
        "@spooler_task\ndef add(a, b):\n    return a + b\n"
    )
    (tmp_path / "new_site.py").write_text(
        "import django\nfrom django.conf import settings\n"
        "from django.core.management import call_command\n\n"
        "backend = {'BACKEND': 'django_spooler.backend.SpoolerBackend'}\n"
        "settings.configure(\n"
        "    SECRET_KEY='x', INSTALLED_APPS=['django_spooler'], TASKS={'default': backend}\n)\n"
        "django.setup()\ncall_command('check')\n"
        "import tasks\nprint(tasks.add.enqueue(1, 2).return_value)\n"
    )
    ran = subprocess.run(
        [python, "new_site.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert ran.stdout.split()[-1] == "3"
