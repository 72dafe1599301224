"""One sentence that answers: why is it waiting?"""

from django.utils.formats import date_format
from django.utils.timesince import timeuntil
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import overview
from ..browse import COUNTED, capped
from ..overview import Entry
from ..spool.directory import Spool
from ..spool.listing import TaskFile, ahead


def why_it_waits(spool: Spool, file: TaskFile, entry: Entry) -> str | None:
    """Return why the task does not run yet, None for one that does not wait."""
    if entry.state == "scheduled" and entry.due and entry.due > now():
        return _("It is scheduled for %(time)s, in %(pause)s.") % {
            "time": date_format(localtime(entry.due), "DATETIME_FORMAT"),
            "pause": timeuntil(entry.due),
        }
    if entry.state not in ("ready", "scheduled"):
        return None
    paused = set(overview.paused(spool, [entry.queue or ""]))
    if entry.queue in paused:
        return _("The queue %(queue)s is paused.") % {"queue": entry.queue}
    if not overview.processes(spool):
        return _(
            "It waits since no process serves this directory: uWSGI needs import ="
            " django_spooler.worker, and OPTIONS['SPOOLERS'] has to name its spooler where it is"
            " another one."
        )
    if entry.state == "scheduled":
        return _("It is due, and made ready in a moment.")
    number = ahead(spool, file, spool.paused().__contains__, COUNTED)
    if number == 0:
        return _("It is the next to run.")
    return ngettext(
        "%(count)s task of higher or equal priority is ahead of it.",
        "%(count)s tasks of higher or equal priority are ahead of it.",
        number,
    ) % {"count": capped(number)}
