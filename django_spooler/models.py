"""The results of tasks, kept only with ``RESULTS = "database"``."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from .compat import TaskResultStatus


class TaskRecord(models.Model):
    """What became of one queued call."""

    id = models.CharField(_("ID"), primary_key=True, max_length=64, editable=False)
    task = models.CharField(_("task"), max_length=500)
    backend = models.CharField(_("backend"), max_length=100)
    queue_name = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"))
    run_after = models.DateTimeField(_("run after"), null=True)
    args = models.JSONField(_("positional arguments"))
    kwargs = models.JSONField(_("keyword arguments"))
    status = models.CharField(_("status"), max_length=10, choices=TaskResultStatus.choices)
    enqueued_at = models.DateTimeField(_("enqueued at"), db_index=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    last_attempted_at = models.DateTimeField(_("last attempted at"), null=True)
    worker_ids = models.JSONField(_("workers"), default=list)
    errors = models.JSONField(_("errors"), default=list)
    return_value = models.JSONField(_("return value"), null=True)

    class Meta:
        verbose_name = _("task result")
        verbose_name_plural = _("task results")
        ordering = ["-enqueued_at"]

    def __str__(self) -> str:
        return f"{self.task} ({self.id})"
