"""Libraries that stand between a process of a test and the C library (LD_PRELOAD)."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(name: str, directory: Path) -> Path:
    """Compile ``<name>.c``; return the library's path."""
    library = directory / f"{name}.so"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-shared", "-fPIC", "-o", library, HERE / f"{name}.c", "-ldl"],
        check=True,
    )
    return library
