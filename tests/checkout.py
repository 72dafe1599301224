"""This checkout as a fresh clone would have it."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def files(below: str = ".") -> list[str]:
    """Return what belongs to the project, committed or not yet: no build's or tool's output."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", below],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def copy_to(directory: Path) -> Path:
    """Copy the project's files there and return the directory."""
    for name in files():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, directory / name)
    return directory
