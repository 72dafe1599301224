"""The pages: a list with actions, one task in full, failures in groups, and an overview."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from .. import browse, diagnosis, operations, overview
from ..backends import served_directories
from ..browse import COUNTED, Group, Matching, capped
from ..compat import AnyTask
from ..exceptions import SpoolerError
from ..message import Message
from ..models import Task
from ..overview import Entry, site_spools
from ..own import is_own
from ..spool.directory import Spool
from ..spool.listing import TaskFile
from ..tasks import find_task, task_names
from . import actions, chart
from .actions import ACTIONS, Action, Round
from .asked import PAGE_SIZE, choices, page_number, pages, query_of, sorted_by, sorts, tabs
from .base import SpoolerAdmin, explained, may
from .forms import CallForm, RoundForm
from .waiting import why_it_waits

FIND_SECONDS = 0.1
"""Seconds a page looks for the task of an id."""

FIND_CHOSEN_SECONDS = 5.0
"""Seconds an action looks for the chosen tasks; those that run meanwhile are not there to be found."""

SHOWN = 20
"""Tasks that are named where an action asks whether it is meant."""


class TaskAdmin(SpoolerAdmin):
    """Shows and steers the tasks in the spool directories; there is no table behind it."""

    view_permission = "view_task"

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of ours."""
        wrap = self.admin_site.admin_view
        return [
            path("overview/", wrap(self.overview_view), name="django_spooler_task_overview"),
            path("failures/", wrap(self.failures_view), name="django_spooler_task_failures"),
            path("enqueue/", wrap(self.enqueue_view), name="django_spooler_task_enqueue"),
            path("pause/", wrap(require_POST(self.pause_view)), name="django_spooler_task_pause"),
            *super().get_urls(),
        ]

    # The list

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return the row that stands for a task, None where no task has this id."""
        return Task(id=object_id) if _find(object_id) else None

    @explained
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the tasks that match, and do what was posted."""
        self.require(request)
        if request.method == "POST":
            return self._act(request)
        query = query_of(request.GET)
        number = page_number(request.GET)
        page = browse.browse(site_spools(), query, number=number, size=PAGE_SIZE)
        actions = {
            name: action.label
            for name, action in ACTIONS.items()
            if may(request, action.permission) and set(action.states) & set(query.states)
        }
        return self.page(
            request,
            "task/change_list",
            _("Tasks"),
            page=page,
            query=query,
            actions=actions,
            tabs=list(tabs(request.GET)),
            pages=pages(request.GET, page, number),
            total=capped(page.total),
            choices=choices(request.GET),
            sorts=sorts(request.GET, query),
            sorted=sorted_by(query),
            hidden={name: request.GET.get(name, "") for name in ("state", "o")},
        )

    def _act(self, request: HttpRequest) -> HttpResponse:
        """Ask whether an action is meant, then do it."""
        action = ACTIONS.get(request.POST.get("action", ""))
        if action is None:
            messages.warning(request, _("No action selected."))
            return HttpResponseRedirect(request.get_full_path())
        self.require(request, action.permission)
        across = request.POST.get("select_across") == "1"
        chosen = request.POST.getlist("_selected_action")
        if not chosen and not across:
            messages.warning(request, _("Select tasks first: none has been changed."))
            return HttpResponseRedirect(request.get_full_path())
        form = action.form(request.POST if request.POST.get("post") == "yes" else None)
        if form.is_valid():
            return self._do(request, action, form, None if across else chosen)
        return self._ask(request, action, form, None if across else chosen)

    def _ask(
        self, request: HttpRequest, action: Action, form: RoundForm, chosen: list[str] | None
    ) -> HttpResponse:
        """Ask whether it is meant for the chosen tasks, or for all that match."""
        if chosen is None:
            query = replace(query_of(request.GET), among=action.states)
            most = None if query.needs_reading else overview.ALL
            page = browse.browse(site_spools(), query, number=1, size=SHOWN, most=most)
            shown, total, is_exact = page.entries, page.total, page.is_exact
        else:
            shown = [entry for _, _, entry in _find_all(chosen[:SHOWN])]
            total, is_exact = len(chosen), True
        form.initial = {"until": time.time(), "total": total if is_exact else None}
        return self.page(
            request,
            "task/confirm",
            _("Are you sure?"),
            form=form,
            action=action,
            name=request.POST["action"],
            chosen=chosen,
            shown=shown,
            number=total,
            total=f"{total:,}",
            is_exact=is_exact,
        )

    def _do(
        self, request: HttpRequest, action: Action, form: RoundForm, chosen: list[str] | None
    ) -> HttpResponse:
        """Do it to as many as the time of a request allows, and go on with the rest in another."""
        told = form.cleaned_data
        matching = Matching(
            site_spools(),
            replace(query_of(request.GET), among=action.states),
            until=told["until"],
            wanted=partial(action.is_for, terms=form.terms),
            position=told["position"],
        )
        work = Round(actions.BRIEF if told["brief"] else actions.ROUND)
        try:
            work.run(
                partial(action.run, **form.terms),
                matching
                if chosen is None
                else operations.find(site_spools(), chosen, FIND_CHOSEN_SECONDS),
            )
        except SpoolerError as error:
            messages.error(request, str(error))
            work.is_last = True
        finally:
            self._log(request, action, form, work.done, chosen is None)
        for refusal in list(dict.fromkeys(work.refusals))[:SHOWN]:
            messages.error(request, refusal)
        count = (told["count"] or 0) + len(work.done)
        if not work.is_last:
            left = None if chosen is None else [name for name in chosen if name not in work.seen]
            form.data = {**told, "count": count, "position": matching.position}
            return self._go_on(request, action, form, left, count)
        asked = len(work.seen if chosen is None else set(chosen))
        missed = asked - len(work.done) - len(work.refusals)
        _tell(request, action.told(form.terms), count, missed)
        return HttpResponseRedirect(request.get_full_path())

    def _go_on(
        self,
        request: HttpRequest,
        action: Action,
        form: RoundForm,
        chosen: list[str] | None,
        count: int,
    ) -> HttpResponse:
        """Show how far it got, and ask for the next round."""
        return self.page(
            request,
            "task/progress",
            action.label,
            form=form,
            name=request.POST["action"],
            chosen=chosen,
            count=f"{count:,}",
            done=count,
            total=form.cleaned_data["total"],
        )

    def _log(
        self, request: HttpRequest, action: Action, form: RoundForm, done: list[str], across: bool
    ) -> None:
        """Write who did what: a line for each selected task, one for all that matched."""
        lines = [(name, name) for name in done]
        if across and done:
            line = _("%(count)s tasks that matched %(query)s") % {
                "count": len(done),
                "query": request.GET.urlencode() or "*",
            }
            lines = [("", line)]
        self.write_log(request, action.flag, action.told(form.terms), lines)

    # One task

    @explained
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show everything about one task."""
        self.require(request)
        if request.method == "POST":
            raise PermissionDenied
        found = _find(object_id)
        if found is None:
            raise Http404(_("No task has the id %(id)s.") % {"id": object_id})
        spool, file, entry = found
        return self.page(
            request,
            "task/change_form",
            entry.task
            or (_("Unreadable task") if entry.library is None else _("Another library’s task")),
            entry=entry,
            waits=why_it_waits(spool, file, entry),
            detail=overview.detail(entry),
            process=overview.process_of(spool, file),
            change_link=self._change_link(request, entry),
            actions={
                name: action.verb
                for name, action in ACTIONS.items()
                if entry.state in action.states and may(request, action.permission)
            },
        )

    def _change_link(self, request: HttpRequest, entry: Entry) -> str | None:
        is_known = find_task(entry.task or "") is not None and not is_own(entry.task or "")
        if entry.state != "failed" or not is_known or not may(request, "retry_changed_task"):
            return None
        asked = urlencode({"task": entry.task, "from": entry.id})
        return f"{self.address('enqueue')}?{asked}"

    # All of it

    @explained
    def failures_view(self, request: HttpRequest) -> HttpResponse:
        """Show the failed tasks, grouped by task and class of error."""
        self.require(request)
        groups, read = browse.failures(site_spools())
        return self.page(
            request,
            "task/failures",
            _("Failures"),
            groups=[(group, self._group_link(group)) for group in groups],
            read=read,
            may_retry=may(request, "retry_task"),
            may_discard=may(request, "discard_task"),
        )

    @explained
    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show each spool directory in figures, with its processes and what is wrong."""
        self.require(request)
        queues = served_directories()
        return self.page(
            request,
            "task/overview",
            _("Overview"),
            directories=[
                overview.status(spool, queues[spool.directory], most=COUNTED)
                for spool in site_spools()
            ],
            most=COUNTED,
            problems=diagnosis.problems(),
            periods=list(chart.periods(site_spools())),
            height=chart.HEIGHT,
            may_pause=may(request, "pause_queue"),
        )

    @explained
    def enqueue_view(self, request: HttpRequest) -> HttpResponse:
        """Enqueue a call by hand; with ``from``, instead of a failed one."""
        identifier = request.GET.get("from", "")
        self.require(request, "retry_changed_task" if identifier else "enqueue_task")
        name = request.GET.get("task", "")
        task = find_task(name)
        if task is None or is_own(name):
            names = [name for name in task_names() if not is_own(name)]
            return self.page(request, "task/enqueue", _("Enqueue"), names=names)
        call = operations.failed_call(site_spools(), identifier, task.module_path)
        if identifier and call is None:
            raise Http404(_("No task has the id %(id)s.") % {"id": identifier})
        form = CallForm(task, request.POST or None, call=call)
        if form.is_valid():
            try:
                queued = self._enqueue(request, task, form, call)
            except (SpoolerError, ValueError) as error:
                form.add_error(None, str(error))
            else:
                if identifier:  # behind the new one's file, which waits for the commit too
                    transaction.on_commit(partial(_discard, request, identifier))
                return HttpResponseRedirect(f"{self.address('changelist')}?q={queued}")
        return self.page(
            request,
            "task/enqueue",
            _("Enqueue"),
            form=form,
            name=task.module_path,
            original=identifier,
        )

    def _enqueue(
        self, request: HttpRequest, task: AnyTask, form: CallForm, original: Message | None
    ) -> str:
        args, kwargs = form.call()
        delay = form.cleaned_data["delay"]
        chosen = task.using(
            priority=form.cleaned_data["priority"],
            queue_name=original.queue if original else None,
            run_after=None if delay is None else timezone.now() + timedelta(seconds=delay),
        )
        identifier: str = chosen.enqueue(*args, **kwargs).id
        self.write_log(request, ADDITION, _("Enqueued."), [(identifier, identifier)])
        messages.success(request, _("Enqueued %(id)s.") % {"id": identifier})
        return identifier

    @explained
    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause or resume one queue."""
        self.require(request, "pause_queue")
        queue = request.POST.get("queue", "")
        if queue in {name for names in served_directories().values() for name in names}:
            resumes = bool(request.POST.get("resume"))
            text = _("Resumed queue %(queue)s.") if resumes else _("Paused queue %(queue)s.")
            message = text % {"queue": queue}
            try:
                if resumes:
                    operations.resume(site_spools(), queue, served_directories())
                else:
                    operations.pause(site_spools(), queue, wait=False, timeout=None)
            except SpoolerError as error:  # one directory of several may have been reached
                message = _("%(done)s It broke off: %(error)s") % {"done": message, "error": error}
                messages.error(request, message)
            else:
                messages.success(request, message)
            self.write_log(request, CHANGE, message, [("", queue)])
        return HttpResponseRedirect(self.address("overview"))

    def _group_link(self, group: Group) -> str:
        asked = {"state": "failed", "task": group.task or "", "error": group.error}
        return f"{self.address('changelist')}?{urlencode(asked)}"


def _discard(request: HttpRequest, identifier: str) -> None:
    """Discard the failed task that another one was enqueued for."""
    try:
        for _id, spool, file in operations.find(site_spools(), [identifier], FIND_SECONDS):
            operations.discard(spool, file)
    except SpoolerError as error:
        messages.error(request, str(error))


def _tell(request: HttpRequest, done: str, count: int, missed: int) -> None:
    """Tell what was done to how many tasks, and to how many it could not be done."""
    if count:
        text = ngettext("%(count)s task: %(done)s", "%(count)s tasks: %(done)s", count)
        messages.success(request, text % {"count": f"{count:,}", "done": done})
    if missed:
        text = ngettext(
            "%(count)s task was in no state for that any more.",
            "%(count)s tasks were in no state for that any more.",
            missed,
        )
        messages.warning(request, text % {"count": f"{missed:,}"})


def _find(identifier: str) -> tuple[Spool, TaskFile, Entry] | None:
    return next(_find_all([identifier]), None)


def _find_all(identifiers: list[str]) -> Iterator[tuple[Spool, TaskFile, Entry]]:
    for _id, spool, file in operations.find(site_spools(), identifiers, FIND_SECONDS):
        if entry := overview.entry_of(spool, file):
            yield spool, file, entry
