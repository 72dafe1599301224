"""Photos on the wall, and albums that hold them all."""

import uuid

from django.core.files.storage import Storage, storages
from django.db import models
from django.urls import reverse


def originals() -> Storage:
    """Return where visitors' files are kept; it has no address."""
    return storages["originals"]


def new_name() -> str:
    """Return a file name of our own making, without a suffix."""
    return uuid.uuid4().hex


class Photo(models.Model):
    """A picture that a visitor sent, or that the site painted."""

    title = models.CharField(max_length=60, blank=True)
    original = models.FileField(storage=originals, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)
    views = models.PositiveIntegerField(default=0)
    # Filled in by the task.
    picture = models.ImageField(
        blank=True, width_field="picture_width", height_field="picture_height"
    )
    picture_width = models.PositiveIntegerField(null=True, editable=False)
    picture_height = models.PositiveIntegerField(null=True, editable=False)
    thumbnail = models.ImageField(
        blank=True, width_field="thumbnail_width", height_field="thumbnail_height"
    )
    thumbnail_width = models.PositiveIntegerField(null=True, editable=False)
    thumbnail_height = models.PositiveIntegerField(null=True, editable=False)
    ready_at = models.DateTimeField(null=True, editable=False)
    made_by = models.PositiveIntegerField("process", null=True, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title or f"Photo {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("photo", args=[self.pk])

    @property
    def milliseconds(self) -> int | None:
        """How long the visitor's photo took to appear, None while it has not."""
        if self.ready_at is None:
            return None
        return round((self.ready_at - self.added_at).total_seconds() * 1000)


class Album(models.Model):
    """One ZIP file with the pictures that were on the wall when it was asked for."""

    asked_at = models.DateTimeField(auto_now_add=True)
    archive = models.FileField(blank=True, upload_to="albums")
    pictures = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Album {self.pk}"
