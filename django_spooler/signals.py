"""Signals of this package, beside those of Django's Tasks framework."""

from django.dispatch import Signal

task_failed = Signal()
"""A task was put into ``failed``. Arguments: ``task_result``, ``exception`` and ``reason`` (text).

``task_result`` and ``exception`` are None for a file that could not be read as a task.
"""

task_retried = Signal()
"""A task will be tried again. Arguments: ``task_result``, ``exception``, ``delay`` (seconds)."""
