"""Background tasks and periodic jobs on the uWSGI spooler, without a broker."""

from . import embedded  # noqa: F401  first, since a stop is obeyed from then on
from .bulk import bulk_enqueue
from .decorators import spooler_forever, spooler_raw, spooler_task
from .exceptions import Retry, StopSpooling
from .tasks import SPOOL_IGNORE, SPOOL_OK, SPOOL_RETRY

__all__ = [
    "SPOOL_IGNORE",
    "SPOOL_OK",
    "SPOOL_RETRY",
    "Retry",
    "StopSpooling",
    "bulk_enqueue",
    "spooler_forever",
    "spooler_raw",
    "spooler_task",
]
