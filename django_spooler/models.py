"""The results of tasks, kept only with ``RESULTS = "database"``."""

import json
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from .compat import TaskResultStatus


class JSONTextField(models.TextField):  # type: ignore[type-arg]
    """A JSON value as ASCII text: unlike PostgreSQL's jsonb it holds every string."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Return the value a column's text stands for."""
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> str | None:
        """Return the text a value is kept as."""
        return None if value is None else json.dumps(value, separators=(",", ":"))


class TaskRecord(models.Model):
    """What became of one queued call."""

    id = models.CharField(_("ID"), primary_key=True, max_length=64, editable=False)
    task = models.CharField(_("task"), max_length=500)
    backend = models.CharField(_("backend"), max_length=100)
    queue_name = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"))
    run_after = models.DateTimeField(_("run after"), null=True)
    args = JSONTextField(_("positional arguments"))
    kwargs = JSONTextField(_("keyword arguments"))
    status = models.CharField(_("status"), max_length=10, choices=TaskResultStatus.choices)
    enqueued_at = models.DateTimeField(_("enqueued at"), db_index=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    last_attempted_at = models.DateTimeField(_("last attempted at"), null=True)
    worker_ids = JSONTextField(_("workers"), default=list)
    errors = JSONTextField(_("errors"), default=list)
    return_value = JSONTextField(_("return value"), null=True)
    published = models.BooleanField(
        _("published"), default=False, help_text=_("Its file was written, so it runs or has run.")
    )

    class Meta:
        verbose_name = _("task result")
        verbose_name_plural = _("task results")
        ordering = ["-enqueued_at"]
        indexes = [models.Index(fields=["published", "enqueued_at"], name="spooler_unpublished")]

    def __str__(self) -> str:
        return f"{self.task} ({self.id})"


class Task(models.Model):
    """A task in a spool directory, for the admin and its permissions; there is no table."""

    id = models.CharField(_("ID"), primary_key=True, max_length=255)

    class Meta:
        managed = False
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        default_permissions = ("view",)
        permissions = [
            ("retry_task", "Can retry tasks and run scheduled ones now"),
            ("discard_task", "Can discard tasks"),
            ("enqueue_task", "Can enqueue tasks"),
            ("pause_queue", "Can pause and resume queues"),
        ]

    def __str__(self) -> str:
        return self.id
