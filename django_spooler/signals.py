"""Signals of this package, beside those of Django's Tasks framework.

The sender of those about periodic jobs is ``django_spooler.models.CronRun``.
"""

from django.dispatch import Signal

task_failed = Signal()
"""A task was put into ``failed``. Arguments: ``task_result``, ``exception`` and ``reason`` (text).

``task_result`` is None for a file that is no task of this site; ``exception`` is then an
UnreadableTask, or None.
"""

task_retried = Signal()
"""A task will be tried again. Arguments: ``task_result``, ``exception``, ``delay`` (seconds)."""

cron_started = Signal()
"""A run of a periodic job starts. Argument: ``run``, a ``CronRun``, here and below."""

cron_finished = Signal()
"""A run of a periodic job ended. Arguments: ``run``, ``exception`` (None after a success)."""

cron_failed = Signal()
"""A run of a periodic job failed, or its process died. Arguments: ``run``, ``error`` (text)."""

cron_recovered = Signal()
"""A periodic job succeeded whose run before had failed. Argument: ``run``."""

cron_late = Signal()
"""A slot was not started in time. Arguments: ``job`` (its name), ``slot``, ``missed`` (bool).

``missed`` is True where it never will.
"""
