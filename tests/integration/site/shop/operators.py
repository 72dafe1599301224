"""What an operator does while the spoolers work."""

import random

from django_spooler import operations
from django_spooler.backends import served_directories
from django_spooler.browse import Matching, Query
from django_spooler.spool.directory import Spool

from .tasks import ordered


def reprioritize_while_they_run(count: int) -> int:
    """Give tasks that the spoolers begin to run another priority; return for how many in time."""
    spools = [Spool(directory) for directory in served_directories()]
    operations.pause(spools, None, wait=False, timeout=None)
    for label in range(count):
        ordered.enqueue(label)
    waiting = list(filter(None, Matching(spools, Query(state="ready"))))
    random.shuffle(waiting)
    operations.resume(spools, None, served_directories())
    return sum(
        operations.prioritize(spool, file, random.randint(-100, 100)) for _, spool, file in waiting
    )
