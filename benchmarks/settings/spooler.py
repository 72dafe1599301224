"""This project, with the settings it ships with."""

import json
import os

from .base import *  # noqa: F403
from .base import BASE_DIR, INSTALLED_APPS

INSTALLED_APPS += ["django_spooler"]
TASKS = {
    "default": {
        "BACKEND": "django_spooler.backend.SpoolerBackend",
        "OPTIONS": {
            "SPOOLERS": {"default": str(BASE_DIR / "spool")},
            **json.loads(os.environ.get("BENCH_OPTIONS", "{}")),
        },
    }
}
