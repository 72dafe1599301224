"""The Django app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class DjangoSpoolerConfig(AppConfig):
    """Finds the tasks and periodic jobs of all apps and registers the system checks."""

    name = "django_spooler"
    verbose_name = _("Spooler")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import every app's ``tasks`` and ``crons``, and what listens to Django."""
        from . import checks, database  # noqa: F401  they hear of checks and connections from now on
        from .canary import canary_task
        from .cron import hook, jobs, periodic

        hook.install()
        autodiscover_modules("tasks")
        jobs.discover()
        periodic.register_tasks()
        canary_task()
