"""The classes that a test asks for in the setting CLASSES: what each one's ``Schedule`` takes.

Beside that, ``seconds``, ``gate`` and ``fails`` are as for functions, ``code`` is its name in the log,
and ``attributes`` are the class's own.
"""

import os
import time

from django.conf import settings
from django_cron import CronJobBase, Schedule
from mysite.events import record, wait_at

OWN = ("code", "seconds", "gate", "fails", "attributes")


class Job(CronJobBase):
    """Records when it began and when it ended."""

    def do(self):
        facts = {"job": self.code, "node": os.environ.get("NODE"), "pid": os.getpid()}
        record("began", monotonic=time.monotonic(), **facts)
        if "gate" in self.options:
            wait_at(self.options["gate"])
        time.sleep(self.options.get("seconds", 0))
        record("ended", monotonic=time.monotonic(), **facts)
        if self.options.get("fails"):
            raise ValueError(f"{self.code} fails")
        return f"{self.code} succeeds"


for name, options in settings.CLASSES.items():
    schedule = {key: value for key, value in options.items() if key not in OWN}
    own = {"code": options["code"], "options": options, "schedule": Schedule(**schedule)}
    globals()[name] = type(name, (Job,), {**own, **options.get("attributes", {})})
