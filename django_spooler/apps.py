"""The Django app."""

from django.apps import AppConfig, apps
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
        from .tasks import register_at_first_use

        if apps.is_installed("django_cron"):
            from .cron import hook

            hook.install()
        register_at_first_use(_register_our_own)
        autodiscover_modules("tasks")
        autodiscover_modules("crons")


def _register_our_own() -> None:
    """Make the tasks of periodic jobs known, and those this package sends for itself."""
    from .canary import canary_task
    from .cron import periodic

    periodic.register_tasks()
    canary_task()
