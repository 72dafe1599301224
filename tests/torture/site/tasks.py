"""The tasks: short ones, and all that hurt their process."""

import ctypes
import os
import resource
import signal
import time
from pathlib import Path

from django_spooler import spooler_task
from django_spooler.context import SpoolerContext

from .ledger import directory, hold, note, release


@spooler_task
def work(number: int, milliseconds: float = 0) -> None:
    """Take some time, and tell the ledger."""
    hold(number)
    note("start", number)
    time.sleep(milliseconds / 1000)
    note("end", number)
    release(number)


@spooler_task(takes_context=True)
def stay(context: SpoolerContext, number: int) -> None:
    """Work until the run calls it off, and tell whether it was asked to hurry."""
    hold(number)
    note("start", number)
    while not (directory / f"leave-{number}").exists():
        time.sleep(0.01)
    note("end", number, context.stopping)
    release(number)


@spooler_task(queue_name="mail", max_attempts=1)
def fail(number: int) -> None:
    """Fail for good at the first try."""
    note("start", number)
    raise ValueError(f"task {number} fails")


@spooler_task(max_attempts=3, backoff=0.3)
def die(number: int, how: str) -> None:
    """End the process it runs in."""
    note("start", number)
    _DEATHS[how]()


def _run_out_of_memory() -> None:
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (256 << 20), in_use + (256 << 20)))
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while True:  # what a C library does that does not look at malloc's answer
        ctypes.memset(libc.malloc(ctypes.c_size_t(64 << 20)), 1, 64 << 20)


_DEATHS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "leave": lambda: os._exit(0),
    "abort": os.abort,
    "memory": _run_out_of_memory,
}
