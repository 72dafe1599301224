"""A node that runs the periodic jobs, one pass after the other, until it is told to end."""

import os
import random
import signal
import time

from django.core.management.base import BaseCommand
from mysite.events import record

from django_spooler.cron.runner import run_due
from django_spooler.exceptions import LeaseLost


class Command(BaseCommand):
    """Records each pass, so that a test knows that the node was alive and what its clock said."""

    def handle(self, *args, **options):
        """Loop until SIGTERM."""
        told = []
        signal.signal(signal.SIGTERM, lambda *_: told.append(True))
        node = os.environ["NODE"]
        while not told:
            record("pass", node=node, monotonic=time.monotonic())
            for report in run_due():
                if isinstance(report.error, LeaseLost):
                    record("lost", node=node, job=report.job, error=str(report.error))
            time.sleep(random.uniform(0, 0.1))
