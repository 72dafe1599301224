"""Loading the Django site into a uWSGI process, before the site's own WSGI module is."""

import importlib
import os
from pathlib import PurePath
from types import ModuleType

import django
from django.apps import apps
from django.conf import settings

from .exceptions import SpoolerError


def set_up_site(uwsgi: ModuleType) -> None:
    """Load the Django site, as its WSGI module would.

    Without DJANGO_SETTINGS_MODULE the WSGI module that uWSGI was told to serve is imported: it sets
    the variable. Raise SpoolerError where neither is there.
    """
    if not os.environ.get("DJANGO_SETTINGS_MODULE") and not settings.configured:
        module = _wsgi_module(uwsgi)
        if module is None:
            raise SpoolerError(
                "django_spooler.worker cannot find the site: DJANGO_SETTINGS_MODULE is not set. Add"
                " env = DJANGO_SETTINGS_MODULE=mysite.settings to uWSGI's configuration."
            )
        importlib.import_module(module)
    if not apps.ready:
        django.setup()
    # Views may define tasks too, and the web workers import them only with the first request.
    if getattr(settings, "ROOT_URLCONF", None):
        importlib.import_module(settings.ROOT_URLCONF)


def _wsgi_module(uwsgi: ModuleType) -> str | None:
    for option in ("module", "wsgi", "wsgi-file"):
        value = uwsgi.opt.get(option)
        if value:
            name = os.fsdecode(value[0] if isinstance(value, list) else value).partition(":")[0]
            return ".".join(PurePath(name).with_suffix("").parts) if name.endswith(".py") else name
    return None
