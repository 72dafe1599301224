"""Our backend in the two roles that Django's tests know."""

import os
import tempfile
from typing import Any

from django_spooler.backend import SpoolerBackend
from django_spooler.conf import Options
from django_spooler.models import TaskRecord

THEIR_WAYS = {"MAX_ATTEMPTS": 1, "ENQUEUE_ON_COMMIT": False}
"""Where our defaults differ: Django's backends try a task once, and never wait for a commit."""


class AtOnce(SpoolerBackend):
    """In the role of ImmediateBackend: tasks run inline, which is our default outside uWSGI."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.spooler_options = Options(**THEIR_WAYS)


class ForLater(SpoolerBackend):
    """In the role of DummyBackend: tasks are queued and their results kept."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        spool = os.path.join(tempfile.gettempdir(), "spool")
        self.spooler_options = Options(
            **THEIR_WAYS,
            OUTSIDE_UWSGI="spool",
            SPOOLERS=dict.fromkeys(self.queues or ["default"], spool),
            RESULTS="database",
        )

    def clear(self) -> None:
        """Forget every result."""
        TaskRecord.objects.all().delete()

    @property
    def results(self) -> list[Any]:
        """Every result, oldest first."""
        return [self.get_result(record.id) for record in TaskRecord.objects.order_by("enqueued_at")]
