"""Mixed load with kills: memory and descriptors stay as they were, and no task is left or lost."""

from pathlib import Path
from typing import Any

from benchmarks import soak

FULL = 120
"""Seconds; ``python -m benchmarks.soak`` goes on for half an hour."""


def run(directory: Path, *, seed: int, size: int) -> dict[str, Any]:
    """Load two spoolers for ``size`` seconds; return what was measured early and late."""
    return dict(soak.run(directory, minutes=size / 60, seed=seed))
