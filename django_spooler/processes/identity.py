"""What tells one site, and one version of this package, from another."""

import importlib.metadata
import os
from functools import cache

from django.conf import settings


@cache
def package_version() -> str:
    """Return the installed version of django-spooler, "" for a checkout that is not installed."""
    try:
        return importlib.metadata.version("django-spooler")
    except importlib.metadata.PackageNotFoundError:
        return ""


def site_identity() -> str:
    """Return what is the same in every process of this site on one machine, and in no other's.

    It is the settings' module and BASE_DIR; without BASE_DIR the module alone.
    """
    base = getattr(settings, "BASE_DIR", "")
    return (
        f"{os.environ.get('DJANGO_SETTINGS_MODULE', '')} {os.path.realpath(base) if base else ''}"
    )
