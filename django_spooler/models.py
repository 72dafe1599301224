"""The results of tasks, kept only with ``RESULTS = "database"``, and the runs of periodic jobs."""

import json
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from .compat import TaskResultStatus
from .instants import InstantField

SCHEDULE_LENGTH = 500
"""Characters of a schedule in words that are kept."""


_encoder = json.JSONEncoder(separators=(",", ":"))  # json.dumps would make one each time


def as_text(value: Any) -> str | None:
    """Return the text a JSON value is kept as."""
    return None if value is None else _encoder.encode(value)


class JSONTextField(models.TextField):  # type: ignore[type-arg]
    """A JSON value as ASCII text: unlike PostgreSQL's jsonb it holds every string."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Return the value a column's text stands for."""
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> str | None:
        """Return the text a value is kept as."""
        return as_text(value)


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
            ("retry_changed_task", "Can retry tasks with changed arguments"),
            ("prioritize_task", "Can change the priority of tasks"),
            ("discard_task", "Can discard tasks"),
            ("enqueue_task", "Can enqueue tasks"),
            ("pause_queue", "Can pause and resume queues"),
        ]

    def __str__(self) -> str:
        return self.id


class CronJob(models.Model):
    """Where a periodic job stands: the slots up to ``slot`` have each been decided on."""

    name = models.CharField(_("name"), primary_key=True, max_length=200)
    schedule = models.CharField(_("schedule"), max_length=SCHEDULE_LENGTH, blank=True)
    paused = models.BooleanField(_("paused"), default=False)
    slot = InstantField(_("slot"), null=True, help_text=_("The last one that was decided on."))
    late = InstantField(
        _("late"), null=True, help_text=_("The last one that was announced as late.")
    )
    token = models.BigIntegerField(_("token"), default=0, help_text=_("Counts its runs."))
    started = models.BigIntegerField(
        _("started"), default=0, help_text=_("The token of the run that started last.")
    )

    class Meta:
        verbose_name = _("periodic job")
        verbose_name_plural = _("periodic jobs")
        ordering = ["name"]
        default_permissions = ("view",)
        permissions = [
            ("run_cronjob", "Can run periodic jobs now"),
            ("pause_cronjob", "Can pause and resume periodic jobs"),
        ]

    def __str__(self) -> str:
        return self.name


class CronRun(models.Model):
    """One run of a periodic job, or a slot that was skipped or missed."""

    class Outcome(models.TextChoices):
        """How a run stands. Only ``success`` is one."""

        QUEUED = "queued", _("Queued")
        CLAIMED = "claimed", _("Claimed")
        RUNNING = "running", _("Running")
        SUCCESS = "success", _("Success")
        FAILED = "failed", _("Failed")
        DIED = "died", _("Died")
        SKIPPED = "skipped", _("Skipped")
        MISSED = "missed", _("Missed")

    id = models.BigAutoField(_("ID"), primary_key=True)
    job = models.CharField(_("job"), max_length=200)
    slot = InstantField(_("slot"), help_text=_("The time it stands for."))
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    token = models.BigIntegerField(_("token"), help_text=_("Its number among the runs of the job."))
    node = models.CharField(_("node"), max_length=255, blank=True)
    task = models.CharField(
        _("task"), max_length=64, blank=True, help_text=_("The ID of the task that ran it.")
    )
    start = InstantField(_("start"), null=True)
    end = InstantField(_("end"), null=True)
    expires = InstantField(
        _("expires"), null=True, help_text=_("When somebody has to look at it again.")
    )
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("run of a periodic job")
        verbose_name_plural = _("runs of periodic jobs")
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["job", "token"], name="spooler_cron_token"),
            # Whatever goes wrong in deciding: no two nodes run one attempt of a slot.
            models.UniqueConstraint(fields=["job", "slot", "attempt"], name="spooler_cron_slot"),
        ]
        indexes = [
            models.Index(fields=["expires"], name="spooler_cron_expires"),
            models.Index(fields=["job", "outcome"], name="spooler_cron_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.job} ({self.slot}): {self.outcome}"
