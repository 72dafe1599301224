"""What keeps the photo wall from growing for ever."""

from datetime import timedelta

from django_spooler.cron import CronContext, cron_job

from .models import Album

KEPT = timedelta(days=7)


@cron_job("15 4 * * *", catch_up="latest", timeout=600)
def delete_old_albums(context: CronContext) -> None:
    """Delete the albums that are a week old at the time this run stands for, and their files."""
    for album in Album.objects.filter(asked_at__lt=context.slot - KEPT):
        album.archive.delete(save=False)
        album.delete()
