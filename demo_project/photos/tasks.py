"""What the photo wall does behind its visitors' backs."""

import io
import os
import zipfile

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from PIL import Image, ImageOps

from django_spooler import SPOOL_OK, SPOOL_RETRY, spooler_raw, spooler_task

from . import artwork
from .models import Album, Photo, new_name

PICTURE_SIZE = (1600, 1600)
THUMBNAIL_SIZE = (640, 640)


@spooler_task(timeout=60)
def make_thumbnail(photo_id: int) -> None:
    """Make the two pictures that the site shows of what a visitor sent."""
    photo = Photo.objects.filter(pk=photo_id, thumbnail="").first()
    if photo is None:
        return  # deleted meanwhile, or made before this try: a task may run twice
    with photo.original.open() as file, Image.open(file) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
    photo.picture.save(f"{new_name()}.jpg", _jpeg(picture, PICTURE_SIZE), save=False)
    photo.thumbnail.save(f"{new_name()}.jpg", _jpeg(picture, THUMBNAIL_SIZE), save=False)
    photo.ready_at = timezone.now()
    photo.made_by = os.getpid()
    photo.save()


def _jpeg(picture: Image.Image, size: tuple[int, int]) -> ContentFile:
    smaller = picture.copy()
    smaller.thumbnail(size)
    file = io.BytesIO()
    smaller.save(file, "JPEG", quality=85)
    return ContentFile(file.getvalue())


@spooler_task
def paint_picture(photo_id: int, seed: int) -> None:
    """Paint a photo that has no original. A task can enqueue tasks."""
    photo = Photo.objects.filter(pk=photo_id, original="").first()
    if photo is None:
        return
    with transaction.atomic():
        photo.original.save(f"{new_name()}.jpg", ContentFile(artwork.paint(seed)))
        make_thumbnail.enqueue(photo.pk)


@spooler_raw(max_attempts=None, backoff=1, backoff_max=5)
def pack_album(album_id: int) -> int:
    """Pack the wall into a ZIP, once each picture on it has been made.

    Waiting is no failure, so the function says itself how it ended.
    """
    album = Album.objects.filter(pk=album_id, archive="").first()
    if album is None:
        return SPOOL_OK
    photos = Photo.objects.filter(added_at__lte=album.asked_at)
    if photos.filter(thumbnail="").exists():
        return SPOOL_RETRY
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for photo in photos:
            archive.write(photo.picture.path, f"{photo.pk}.jpg")
    album.pictures = len(photos)
    album.archive.save(f"{new_name()}.zip", ContentFile(file.getvalue()))
    return SPOOL_OK
