"""What comes back every minute."""

import logging
from datetime import timedelta

from django_spooler.cron import cron_job

from .board import figures

logger = logging.getLogger(__name__)


@cron_job(every=timedelta(minutes=1))
def log_the_queue() -> None:
    """Write a line about the queue to the server's log."""
    logger.info("The queue: %s.", ", ".join(f"{n} {state}" for state, n in figures().items()))
