"""Where a process's own time goes, seen from inside: a timer interrupts it now and then.

What is charged is the innermost function of this project that is on the stack then, so what Django
or Python do for it counts as its own.
"""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

OUTSIDE = "outside"
"""Where nothing of this project is on the stack."""

_INTERVAL = 0.001
"""Seconds of processor time between two samples; the kernel's tick may make it four times that."""

_PACKAGE = f"{os.sep}django_spooler{os.sep}"

_samples: Counter[str] = Counter()


def start_sampling() -> None:
    """Take samples from now on; to be called in the main thread."""
    _samples.clear()
    signal.signal(signal.SIGPROF, _take)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)


def stop_sampling(path: str) -> None:
    """End that, and write how often which function was seen."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    Path(path).write_text(json.dumps(_samples))


def _take(signum: int, frame: FrameType | None) -> None:
    while frame is not None:
        _, is_ours, module = frame.f_code.co_filename.rpartition(_PACKAGE)
        if is_ours:
            _samples[f"{module.removesuffix('.py')}: {frame.f_code.co_name}"] += 1
            return
        frame = frame.f_back
    _samples[OUTSIDE] += 1
