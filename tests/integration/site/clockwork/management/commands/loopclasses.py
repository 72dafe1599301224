"""A node that calls ``runcrons`` over and over, until it is told to end."""

import os
import random
import signal
import time

from django.core.management import call_command
from django.core.management.base import BaseCommand
from mysite.events import record


class Command(BaseCommand):
    """Records each call, so that a test knows that the node was alive and what its clock said."""

    def handle(self, *args, **options):
        """Loop until SIGTERM."""
        told = []
        signal.signal(signal.SIGTERM, lambda *_: told.append(True))
        while not told:
            record("pass", node=os.environ["NODE"], monotonic=time.monotonic())
            call_command("runcrons")
            time.sleep(random.uniform(0, 0.1))
