"""A class of django-cron, as many sites have them: it runs under our lock without a change."""

from django_cron import CronJobBase, Schedule

from .models import Letter

KEPT = 200


class TidyMailbox(CronJobBase):
    """Keeps the newest letters."""

    code = "members.tidy_mailbox"
    schedule = Schedule(run_every_mins=60)

    def do(self) -> str:
        """Delete the others; what is returned stands in django-cron's log."""
        newest = list(Letter.objects.values_list("pk", flat=True)[:KEPT])
        count, _ = Letter.objects.exclude(pk__in=newest).delete()
        return f"{count} letters deleted"
