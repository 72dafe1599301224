"""A site of nothing but tasks; the run tells through the environment where its files are."""

import json
import os
from pathlib import Path

BASE_DIR = Path(os.environ["TORTURE_DIR"])
SECRET_KEY = "torture"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.torture.site.urls"
INSTALLED_APPS = ["tests.torture.site", "django_spooler"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 30},
    }
}
TASKS = {
    "default": {
        "BACKEND": "django_spooler.backend.SpoolerBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {
            "OUTSIDE_UWSGI": "spool",
            "SPOOLERS": {queue: str(BASE_DIR / "spool") for queue in ("default", "mail")},
            **json.loads(os.environ.get("TORTURE_OPTIONS", "{}")),
        },
    }
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"full": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "full"}},
    "loggers": {"django_spooler": {"handlers": ["stderr"], "level": "INFO"}},
}
