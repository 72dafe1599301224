"""Our backend does what Django asks of any task backend."""

import subprocess
import sys
import tarfile
from pathlib import Path

import django
import pytest

from .others import ROOT, run

DOWNLOADS = ROOT / ".cache" / "sources"
"""Kept from run to run."""


def source_of_django(version: str) -> Path:
    """Return Django's source distribution of this version; pip downloads it the first time."""
    path = DOWNLOADS / f"django-{version}.tar.gz"
    if not path.exists():
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--no-binary", "django", "--dest", DOWNLOADS, f"django=={version}"),
            ],
            check=True,
            timeout=300,
        )
    return path


def unpack_tests(source: Path, directory: Path) -> Path:
    """Unpack Django's tests of task backends; return the folder to import them from."""
    with tarfile.open(source) as archive:
        wanted = [name for name in archive.getnames() if "/tests/tasks/" in name]
        for name in wanted:
            archive.extract(name, directory, filter="data")
    return next(directory.glob("*/tests"))


@pytest.mark.applies_if(django.VERSION >= (6, 0))
def test_djangos_own_tests_of_task_backends_pass(tmp_path):
    tests = unpack_tests(source_of_django(django.__version__), tmp_path)
    ran = run(
        "tasks",
        settings="settings",
        directory=tests,
        path=f"{tests}:{ROOT}",
        TMPDIR=str(tmp_path),
        # Some ask for a result within an event loop, which needs no database of Django's.
        DJANGO_ALLOW_ASYNC_UNSAFE="true",
    )
    assert ran > 60
