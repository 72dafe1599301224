"""What is wrong with the periodic jobs."""

from collections.abc import Iterator

from django.db import DatabaseError
from django.utils.translation import gettext as _

from ..cron.jobs import all_jobs
from ..cron.overview import late_jobs
from .problem import Problem


def problems() -> Iterator[Problem]:
    """Yield the jobs that no node starts."""
    if not all_jobs():
        return
    try:
        found = late_jobs()
    except DatabaseError as error:
        yield Problem(
            "cron-unknown",
            _("The database does not tell how the periodic jobs stand: %(error)s")
            % {"error": error},
            "python manage.py migrate",
        )
        return
    for name, slot in found:
        yield Problem(
            "cron-late",
            _("Periodic job %(job)s was due at %(time)s UTC, and no node has started it.")
            % {"job": name, "time": f"{slot:%Y-%m-%d %H:%M:%S}"},
            _(
                "Set OPTIONS['CRON'] = True and start uWSGI anew, or let crontab call each minute:"
                " python manage.py runcrons"
            ),
        )
