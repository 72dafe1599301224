"""Pings to a healthchecks service, sent by a task: a service that is slow or away holds up no job."""

import logging
from urllib.request import Request, urlopen

from ..exceptions import SpoolerError
from .jobs import Job
from .own import own_task

logger = logging.getLogger("django_spooler")

_TIMEOUT = 10.0
"""Seconds the service has to answer."""

_PATHS = {"start": "/start", "success": "", "fail": "/fail"}
"""What is put behind a check's URL (https://healthchecks.io/docs/http_api/)."""


def send_ping(url: str) -> None:
    """Call a URL. Raise OSError where it does not answer well."""
    with urlopen(Request(url, method="POST"), timeout=_TIMEOUT):  # noqa: S310  the job's own URL
        pass


def ping(job: Job, event: str) -> None:
    """Let the job's service be told of an event: start, success or fail."""
    if job.ping is None:
        return
    url = job.ping.rstrip("/") + _PATHS[event]
    task = own_task(send_ping)
    try:
        if task is None:
            send_ping(url)
        else:
            task.enqueue(url)
    except (SpoolerError, OSError) as error:
        logger.warning("Periodic job %s: the ping of %s was not sent: %s", job.name, event, error)
