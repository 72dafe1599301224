"""The queue in Django's admin: a skin over ``browse``, ``overview``, ``operations`` and ``cron``."""

from contextlib import suppress
from dataclasses import asdict

from django.contrib import admin
from django.utils.module_loading import import_string

from ..backends import process_options
from ..checks import admin_problems
from ..conf import Options
from ..exceptions import InvalidOptions
from ..models import CronJob, CronRun, Task
from .crons import CronJobAdmin, CronRunAdmin
from .tasks import TaskAdmin

PAGES = {Task: TaskAdmin, CronJob: CronJobAdmin, CronRun: CronRunAdmin}


def register() -> None:
    """Register the pages where OPTIONS says; of a path that leads nowhere the checks tell."""
    options = Options()
    with suppress(InvalidOptions):  # the system checks tell of it
        options = process_options()
    if admin_problems(asdict(options)):
        return
    site = import_string(options.ADMIN_SITE) if options.ADMIN_SITE else admin.site
    base = import_string(options.ADMIN_BASE) if options.ADMIN_BASE else admin.ModelAdmin
    for model, pages in PAGES.items():
        site.register(model, type(pages.__name__, (pages, base), {}))


register()
