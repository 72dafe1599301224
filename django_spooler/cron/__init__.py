"""Periodic jobs: each slot once over all nodes of the site, whatever dies."""

from .jobs import CronContext, cron_job
from .lock import DatabaseLeaseLock

__all__ = ["CronContext", "DatabaseLeaseLock", "cron_job"]
