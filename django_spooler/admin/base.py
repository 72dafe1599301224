"""What all pages have in common: who may see and do what, how a page is made, and the log."""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from ..exceptions import SpoolUnavailable

logger = logging.getLogger("django_spooler")


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that no page adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell that no row can be added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell that no row can be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell that no row can be deleted."""
        return False


class SpoolerAdmin(ReadOnlyAdmin):
    """Pages of our own in the place of a model's."""

    view_permission: str
    """Without it nothing is shown."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may see anything here."""
        return may(request, self.view_permission)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what was done to one; who may not look is not told whether it exists."""
        self.require(request)
        return super().history_view(request, object_id, extra_context)

    def require(self, request: HttpRequest, *permissions: str) -> None:
        """Raise PermissionDenied unless the user has these and may look."""
        if not all(may(request, name) for name in (self.view_permission, *permissions)):
            raise PermissionDenied

    def address(self, page: str, *args: str) -> str:
        """Return the address of a page of this model."""
        return self._reverse(self.opts.model_name or "", page, *args)

    def _reverse(self, model: str, page: str, *args: str) -> str:
        name = f"admin:django_spooler_{model}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def page(
        self, request: HttpRequest, template: str, title: str, /, **context: Any
    ) -> HttpResponse:
        """Return one of our pages in the look of the site."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/django_spooler/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": title,
                "tools": list(self._tools(request)),
                **context,
            },
        )

    def _tools(self, request: HttpRequest) -> Iterator[tuple[str, Any]]:
        """Yield address and label of the pages that the user may see."""
        pages = (
            ("view_task", "task", "overview", _("Overview")),
            ("view_task", "task", "changelist", _("Tasks")),
            ("view_task", "task", "failures", _("Failures")),
            ("view_cronjob", "cronjob", "changelist", _("Periodic jobs")),
            ("enqueue_task", "task", "enqueue", _("Enqueue")),
        )
        for permission, model, page, label in pages:
            if may(request, permission):
                yield self._reverse(model, page), label

    def write_log(
        self, request: HttpRequest, flag: int, text: Any, lines: Iterable[tuple[str, str]]
    ) -> None:
        """Write who did what: an entry for each id and name."""
        kind = ContentType.objects.get_for_model(self.model, for_concrete_model=False)
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=request.user.pk,  # type: ignore[misc]
                content_type=kind,
                object_id=identifier,
                object_repr=line[:200],
                action_flag=flag,
                change_message=str(text),
            )
            for identifier, line in lines
        )


View = TypeVar("View", bound=Callable[..., HttpResponse])


def explained(view: View) -> View:
    """Let a view show why the spool directories cannot be looked at, in place of failing."""

    @wraps(view)
    def shown(self: SpoolerAdmin, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(self, request, *args, **kwargs)
        except (SpoolUnavailable, OSError) as error:
            logger.warning("A page of the admin cannot be shown: %s", error)
            answer = self.page(request, "task/unavailable", _("Not available"), error=error)
            answer.status_code = 503
            return answer

    return cast(View, shown)


def may(request: HttpRequest, permission: str) -> bool:
    """Tell whether the user has a permission of this app."""
    return bool(request.user.has_perm(f"django_spooler.{permission}"))
