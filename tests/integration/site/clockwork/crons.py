"""The jobs that a test asks for in the setting JOBS: options of ``cron_job``, and what a run does.

``seconds`` is how long it takes, ``gate`` what it waits at, ``fails`` whether it does.
"""

import os
import time
from datetime import timedelta

from django.conf import settings
from mysite.events import record, wait_at

from django_spooler.cron import cron_job

JOBS = {options["code"]: options for options in settings.JOBS}
OWN = ("seconds", "gate", "fails")


def work(context):
    facts = {
        "job": context.job,
        "slot": context.slot.timestamp(),
        "attempt": context.attempt,
        "node": os.environ.get("NODE"),
    }
    options = JOBS[context.job]
    record("began", monotonic=time.monotonic(), **facts)
    if "gate" in options:
        wait_at(options["gate"])
    time.sleep(options.get("seconds", 0))
    record("ended", monotonic=time.monotonic(), lost=context.lost, **facts)
    if options.get("fails"):
        raise ValueError(f"{context.job} fails")


for options in JOBS.values():
    chosen = {name: value for name, value in options.items() if name not in OWN}
    if "every" in chosen:
        chosen["every"] = timedelta(seconds=chosen["every"])
    cron_job(**chosen)(work)
