"""Runs the tests of others, with our settings in the place of theirs."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(label: str, *, settings: str, directory: Path, path: str, **environment: str) -> int:
    """Run the tests of an app in a process of their own; return how many there were."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "django", "test", "--noinput", label),
            f"--settings=tests.yardstick.{settings}",
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    (ran,) = re.findall(r"^Ran (\d+) tests", done.stdout, re.MULTILINE)
    return int(ran)
