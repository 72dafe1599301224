"""Loading the Django site into a uWSGI process, before the site's own WSGI module is."""

import importlib
import os
import runpy
from types import ModuleType

import django
from django.apps import apps
from django.conf import settings

from ..exceptions import SpoolerError


def set_up_site(uwsgi: ModuleType) -> None:
    """Load the Django site, as its WSGI module would.

    Without DJANGO_SETTINGS_MODULE the WSGI module that uWSGI was told to serve is imported: it sets
    the variable. Raise SpoolerError where neither is there.
    """
    if not os.environ.get("DJANGO_SETTINGS_MODULE") and not settings.configured:
        if not _load_wsgi(uwsgi):
            raise SpoolerError(
                "django_spooler.worker cannot find the site: DJANGO_SETTINGS_MODULE is not set. Add"
                " env = DJANGO_SETTINGS_MODULE=mysite.settings to uWSGI's configuration."
            )
    if not apps.ready:
        django.setup()
    # Views may define tasks too, and the web workers import them only with the first request.
    if getattr(settings, "ROOT_URLCONF", None):
        importlib.import_module(settings.ROOT_URLCONF)


def _load_wsgi(uwsgi: ModuleType) -> bool:
    """Load what uWSGI was told to serve; False where its options name nothing."""
    for option in ("module", "wsgi", "wsgi-file", "file", "mount"):
        value = uwsgi.opt.get(option)
        if value:
            text = os.fsdecode(value[0] if isinstance(value, list) else value)
            name = text.rpartition("=")[2].partition(":")[0]  # a mount is /path=module:callable
            if name.endswith(".py"):
                runpy.run_path(name)
            else:
                importlib.import_module(name)
            return True
    return False
