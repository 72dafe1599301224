"""The pages of periodic jobs: how each stands, what its runs were, and what is done to it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.utils import quote, unquote
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from ..cron import operations, overview
from ..cron.overview import JobState
from ..exceptions import SpoolerError, UnknownCronJob
from ..models import CronRun
from .base import ReadOnlyAdmin, SpoolerAdmin, may

SHOWN = 25
"""Runs on the page of a job."""


@dataclass(frozen=True, slots=True)
class JobAction:
    """Something done to a periodic job."""

    permission: str
    verb: Any
    """As in "Run now"."""

    done: Any
    """What the log calls it."""

    undone: Any
    """What it means that nothing was changed."""

    run: Callable[[str], object]
    """Do it; what it returns is false where nothing was changed."""

    def is_for(self, state: str) -> bool:
        """Tell whether a page offers it to a job that stands so."""
        if self.run is operations.resume:
            return state == "paused"
        return self.run is not operations.pause or state not in ("paused", "disabled")


ACTIONS = {
    "run": JobAction(
        "run_cronjob",
        gettext_lazy("Run now"),
        gettext_lazy("Handed to the spooler to run now."),
        gettext_lazy("It runs already, and its runs must not overlap."),
        operations.run_in_spooler,
    ),
    "pause": JobAction(
        "pause_cronjob",
        gettext_lazy("Pause"),
        gettext_lazy("Paused."),
        gettext_lazy("It was paused already."),
        operations.pause,
    ),
    "resume": JobAction(
        "pause_cronjob",
        gettext_lazy("Resume"),
        gettext_lazy("Resumed."),
        gettext_lazy("It was not paused."),
        operations.resume,
    ),
}

STATES = {
    "disabled": gettext_lazy("disabled in the code"),
    "paused": gettext_lazy("paused"),
    "running": gettext_lazy("running"),
    "late": gettext_lazy("late: no node has started it"),
    "waiting": gettext_lazy("waiting"),
}


class CronJobAdmin(SpoolerAdmin):
    """Shows and steers the periodic jobs that the code has now."""

    view_permission = "view_cronjob"

    def get_urls(self) -> list[URLPattern]:
        """Add the address that actions are posted to."""
        act = self.admin_site.admin_view(require_POST(self.act_view))
        return [path("act/", act, name="django_spooler_cronjob_act"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show how each job stands."""
        self.require(request)
        found = overview.job_states()
        return self.page(
            request,
            "cronjob/change_list",
            _("Periodic jobs"),
            jobs=[self._shown(request, state) for state in found],
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one job with its times and last runs; of one the code has no more, only the runs."""
        self.require(request)
        try:
            name = overview.name_in_history(unquote(object_id))
        except UnknownCronJob as error:
            raise Http404(str(error)) from error
        found = [state for state in overview.job_states() if state.job == name]
        runs_link = f"{self._reverse('cronrun', 'changelist')}?{urlencode({'job__exact': name})}"
        return self.page(
            request,
            "cronjob/change_form",
            name,
            name=name,
            job=self._shown(request, found[0]) if found else None,
            runs=list(islice(overview.history(name, SHOWN), SHOWN)),
            runs_link=runs_link if may(request, "view_cronrun") else None,
        )

    def _shown(self, request: HttpRequest, state: JobState) -> dict[str, Any]:
        return {
            "stands": state,
            "state": STATES.get(state.state, state.state),
            "link": self.address("change", quote(state.job)),
            "actions": {
                name: action.verb
                for name, action in ACTIONS.items()
                if may(request, action.permission) and action.is_for(state.state)
            },
        }

    def act_view(self, request: HttpRequest) -> HttpResponse:
        """Do what was posted to one job."""
        self.require(request)
        action, name = ACTIONS.get(request.POST.get("action", "")), request.POST.get("job", "")
        if action is None:
            raise Http404(_("No action selected."))
        self.require(request, action.permission)
        try:
            is_done = action.run(name)
        except UnknownCronJob as error:
            raise Http404(str(error)) from error
        except (SpoolerError, DatabaseError) as error:
            messages.error(request, f"{name}: {error}")
        else:
            if is_done:
                self.write_log(request, CHANGE, action.done, [(name, name)])
                messages.success(request, f"{name}: {action.done}")
            else:
                messages.warning(request, f"{name}: {action.undone}")
        return HttpResponseRedirect(self.address("changelist"))


class CronRunAdmin(ReadOnlyAdmin):
    """Lists the runs as they stand in the history."""

    list_display = ("job", "slot", "outcome", "node", "start", "end")
    list_filter = ("outcome", "job")
    search_fields = ("job", "node", "error")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the runs, the newest first."""
        return CronRun.objects.order_by("-id")
