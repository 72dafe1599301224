"""Periodic jobs: each slot once over all nodes of the site, whatever dies."""

from .jobs import CronContext, cron_job

__all__ = ["CronContext", "cron_job"]
