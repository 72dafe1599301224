"""A class of django-cron; its code and its interval in seconds are settings."""

import time

from django.conf import settings
from django_cron import CronJobBase, Schedule
from mysite.events import record


class Classic(CronJobBase):
    """Records its runs."""

    code = getattr(settings, "CLASSIC_CODE", "classic")
    schedule = Schedule(run_every_mins=getattr(settings, "CLASSIC_SECONDS", 2) / 60)

    def do(self):
        """Record it."""
        record("began", job=self.code, monotonic=time.monotonic())
