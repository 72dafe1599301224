"""The plain Python worker: serves spool directories without uWSGI."""

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

from .. import executors
from ..backends import process_options
from ..settle import announce_set_aside
from ..spool.directory import Spool
from ..tasks import load_tasks
from .supervisor import Service, Supervisor
from .wakeup import Wakeup

logger = logging.getLogger("django_spooler")

_TICK = 0.5
"""Seconds between two looks at the runners where nothing announces their end."""


def work(
    directories: list[str],
    *,
    processes: int,
    queues: list[str] | None = None,
    until_empty: bool = False,
) -> None:
    """Serve the directories with ``processes`` runners each, until SIGTERM or SIGINT.

    The first signal lets running tasks finish, a second one ends them at once; they run again at
    the next start. Raise SpoolUnavailable where a directory cannot be used.
    """
    executors.serve_from_here()
    load_tasks()
    generation = f"{socket.gethostname()}:work:{os.getpid()}:{time.time()}"
    supervisors = [
        Supervisor(
            Spool(directory, announce_set_aside),
            "work",
            generation,
            service=Service(processes, queues, until_empty),
            options=process_options(),
        )
        for directory in directories
    ]
    with contextlib.closing(Wakeup()) as wakeup, _signals_lead_to(supervisors, wakeup):
        while not all(supervisor.finished for supervisor in supervisors):
            for supervisor in supervisors:
                supervisor.tick()
            _wait(wakeup, supervisors)
    for supervisor in supervisors:
        supervisor.close()


@contextlib.contextmanager
def _signals_lead_to(supervisors: list[Supervisor], wakeup: Wakeup) -> Iterator[None]:
    """Make TERM and INT end the runners: after their task, and at the second signal at once."""
    heard: list[int] = []

    def leave(signum: int, frame: FrameType | None) -> None:
        heard.append(signum)
        for supervisor in supervisors:
            if len(heard) == 1:
                supervisor.leave()
            else:
                supervisor.leave_at_once()

    before = {signum: signal.signal(signum, leave) for signum in (signal.SIGTERM, signal.SIGINT)}
    heard_before = wakeup.hear()
    try:
        yield
    finally:
        signal.set_wakeup_fd(heard_before)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _wait(wakeup: Wakeup, supervisors: list[Supervisor]) -> None:
    poll = select.poll()
    descriptors = [fd for supervisor in supervisors for fd in supervisor.descriptors]
    for descriptor in (wakeup.fileno(), *descriptors):
        poll.register(descriptor, select.POLLIN)
    poll.poll(_TICK * 1000)
    wakeup.drain()
