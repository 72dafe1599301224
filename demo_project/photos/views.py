"""The photo wall."""

import random

from django.contrib import messages
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from django_spooler import spooler_task

from .forms import PhotoForm
from .models import Album, Photo
from .tasks import make_thumbnail, pack_album, paint_picture

SHOWN = 48


@require_http_methods(["GET", "HEAD", "POST"])
def wall(request: HttpRequest) -> HttpResponse:
    """Show the wall, and take a new photo for it."""
    form = PhotoForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            photo = form.save()
            # The spooler sees the task after the commit, hence always with its row.
            make_thumbnail.using(priority=50).enqueue(photo.pk)
        messages.success(
            request, "Thank you! Your photo appears as soon as it has been made smaller."
        )
        return redirect("wall")
    return render(request, "photos/wall.html", {"form": form, **_on_the_wall()})


@require_GET
def wall_fragment(request: HttpRequest) -> HttpResponse:
    """Show the photos alone, for the page that is open already."""
    return render(request, "photos/_wall.html", _on_the_wall())


def _on_the_wall() -> dict[str, object]:
    photos = list(Photo.objects.all()[:SHOWN])
    waiting = sum(not photo.thumbnail for photo in photos)
    album = Album.objects.first()
    return {
        "photos": photos,
        "waiting": waiting,
        "album": album,
        "busy": waiting or (album and not album.archive),
    }


@require_GET
def photo(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one photo, large."""
    shown = get_object_or_404(Photo, pk=pk)
    count_view.enqueue(shown.pk)
    return render(request, "photos/photo.html", {"photo": shown})


@spooler_task(priority=-50)
def count_view(photo_id: int) -> None:
    """Count a visit, which the visitor need not wait for: any helper of a view can be a task."""
    Photo.objects.filter(pk=photo_id).update(views=F("views") + 1)


@require_POST
def paint(request: HttpRequest) -> HttpResponse:
    """Have pictures painted, for a visitor who has none at hand."""
    for _ in range(3):
        have_painted(random.randrange(10_000))
    return redirect("wall")


def have_painted(seed: int) -> None:
    """Put a picture on the wall that a task will paint."""
    with transaction.atomic():
        photo = Photo.objects.create(title=f"Landscape no. {seed}")
        paint_picture.enqueue(photo.pk, seed)


@require_POST
def ask_for_album(request: HttpRequest) -> HttpResponse:
    """Have the wall packed into one file."""
    if not Photo.objects.exists():
        messages.info(request, "There is nothing to pack yet: the wall is empty.")
        return redirect("wall")
    with transaction.atomic():
        pack_album.enqueue(Album.objects.create().pk)
    messages.success(request, "The album is packed as soon as every picture is there.")
    return redirect("wall")
