"""System checks: what is wrong with the set-up, before a task is lost to it."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from .conf import problems

BACKEND = "django_spooler.backend.SpoolerBackend"
_DOCS = "See the reference of the system checks in the documentation."


@register
def check_options(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the OPTIONS of each backend of ours (E001)."""
    return [
        Error(
            problem, hint=f"Correct TASKS[{alias!r}]['OPTIONS']. {_DOCS}", id="django_spooler.E001"
        )
        for alias, params in _our_backends()
        for problem in problems(params.get("OPTIONS", {}))
    ]


@register
def check_backend(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that some backend is ours (W001): without one, tasks never reach the spooler."""
    if any(True for _ in _our_backends()):
        return []
    return [
        CheckWarning(
            "django_spooler is installed, but no entry of TASKS uses its backend.",
            hint=f'Set TASKS = {{"default": {{"BACKEND": "{BACKEND}"}}}}.',
            id="django_spooler.W001",
        )
    ]


def _our_backends() -> list[tuple[str, dict[str, Any]]]:
    configured = getattr(settings, "TASKS", None) or {}
    return [
        (alias, params) for alias, params in configured.items() if params.get("BACKEND") == BACKEND
    ]
