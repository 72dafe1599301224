"""Children that this process forks."""

import contextlib
import gc
import os
import signal
from collections.abc import Callable

TO_LEAVE = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""What tells a runner to leave after its task."""

LOOK = signal.SIGURG
"""Tells the process that ticks to look at once; one that does not listen yet ignores it."""


def fork() -> int:
    """Fork a child that a signal to leave simply ends, until it says otherwise.

    uWSGI's own handler, which it would inherit, runs all of uWSGI's exit inside of whatever the
    signal broke into: a Ctrl-C in the first moment could make it hang for ever, as nobody's child.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TO_LEAVE)
    try:
        pid = os.fork()
        if pid == 0:
            gc.freeze()  # a collection writes to all it looks at, which ends the sharing of memory
            for signum in TO_LEAVE:
                signal.signal(signum, signal.SIG_DFL)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def survives(action: Callable[[], object]) -> bool:
    """Tell whether a child lives through this, before this process does it.

    Where memory is short the kernel is told to end the child, and nobody else.
    """
    pid = fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    status = 1
    try:
        with contextlib.suppress(OSError):
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")
        action()
        status = 0
    finally:
        os._exit(status)
