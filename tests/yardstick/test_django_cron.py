"""django-cron's own tests pass with our lock, whichever of the two apps comes first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import KIND

from .cron_runner import LEFT_OUT_ON_SERVERS

ROOT = Path(__file__).resolve().parents[2]
TESTS = 22
"""django-cron's, without the one that it skips itself."""


@pytest.mark.parametrize("apps", ["django_cron django_spooler", "django_spooler django_cron"])
def test_django_crons_own_tests_pass(apps, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "django", "test", "--noinput"),
            *("--settings=tests.yardstick.cron_settings", "django_cron"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CRON_APPS": apps},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    (ran,) = re.findall(r"^Ran (\d+) tests", done.stdout, re.MULTILINE)
    left_out = 0 if KIND == "sqlite" else len(LEFT_OUT_ON_SERVERS)
    assert int(ran) >= TESTS - left_out, done.stdout
