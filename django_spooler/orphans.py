"""How a process hears of its parent's death."""

import ctypes
import sys

_PR_SET_PDEATHSIG = 1
"""Source: ``linux/prctl.h``."""


def signal_on_death_of_parent(signum: int) -> None:
    """Ask Linux to signal this process when its parent dies; elsewhere nothing does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum)
