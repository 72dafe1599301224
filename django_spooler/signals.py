"""Signals of this package, beside those of Django's Tasks framework."""

from django.dispatch import Signal

task_failed = Signal()
"""A task was put into ``failed``. Arguments: ``task_result``, ``exception`` and ``reason`` (text).

``task_result`` is None for a file that is no task of this site; ``exception`` is then an
UnreadableTask, or None.
"""

task_retried = Signal()
"""A task will be tried again. Arguments: ``task_result``, ``exception``, ``delay`` (seconds)."""
