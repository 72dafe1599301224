"""Tasks to watch."""

import logging
import time

from django_spooler import spooler_task

logger = logging.getLogger(__name__)


@spooler_task
def take_a_while(seconds: float) -> None:
    """Be slow, so that a visitor can see it running."""
    time.sleep(seconds)


@spooler_task(max_attempts=2, backoff=2)
def fail_on_purpose() -> None:
    """Fail, be tried again, fail again, and be kept with both tracebacks."""
    raise RuntimeError("This task fails on purpose, to show what becomes of it.")


@spooler_task
def say(text: str) -> None:
    """Write a line to the server's log."""
    logger.info("%s", text)
