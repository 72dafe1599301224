"""The queue in Django's admin: a skin over ``browse``, ``overview`` and ``operations``."""

from contextlib import suppress

from django.contrib import admin
from django.utils.module_loading import import_string

from ..backends import process_options
from ..conf import Options
from ..exceptions import InvalidOptions
from ..models import Task
from .tasks import TaskAdmin


def register() -> None:
    """Register the pages where OPTIONS says. Raise ImportError for a path that leads nowhere."""
    options = Options()
    with suppress(InvalidOptions):  # the system checks tell of it
        options = process_options()
    site = import_string(options.ADMIN_SITE) if options.ADMIN_SITE else admin.site
    base = import_string(options.ADMIN_BASE) if options.ADMIN_BASE else admin.ModelAdmin
    site.register(Task, type("TaskAdmin", (TaskAdmin, base), {}))


register()
