"""Pings to a healthchecks service and mail to ADMINS, sent by tasks of the site.

A service that is slow or away holds up no job, and gets the tries of any task.
"""

import logging
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from django.core import mail

from ..exceptions import SpoolerError
from ..own import own_task
from .jobs import Job

logger = logging.getLogger("django_spooler")

_TIMEOUT = 10.0
"""Seconds the service has to answer."""

_PATHS = {"start": "/start", "success": "", "fail": "/fail"}
"""What is put behind a check's URL (https://healthchecks.io/docs/http_api/)."""


def send_ping(url: str) -> None:
    """Call a URL. Raise OSError where it does not answer well."""
    with urlopen(Request(url, method="POST"), timeout=_TIMEOUT):  # noqa: S310  the job's own URL
        pass


def mail_admins(subject: str, text: str) -> None:
    """Mail to the site's ADMINS."""
    mail.mail_admins(subject, text)


SENT = (send_ping, mail_admins)
"""What is sent by tasks."""


def ping(job: Job, event: str) -> None:
    """Let the job's service be told of an event: start, success or fail."""
    if job.ping is not None:
        _send(send_ping, job.ping.rstrip("/") + _PATHS[event])


def mail_to_admins(subject: str, text: str) -> None:
    """Let the site's ADMINS have a mail."""
    _send(mail_admins, subject, text)


def _send(function: Callable[..., None], *args: Any) -> None:
    task = own_task(function)
    try:
        if task is None:
            function(*args)
        else:
            task.enqueue(*args)
    except (SpoolerError, OSError) as error:
        logger.warning("%s of periodic jobs failed for %s: %s", function.__name__, args[0], error)
