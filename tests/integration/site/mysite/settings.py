"""The site's settings; those of a test, and its OPTIONS, stand in ``settings.json``."""

import json
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
USE_TZ = True
LANGUAGE_CODE = "de"
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["shop", "mail", "rough", "django_cron", "django_spooler"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
BACKEND = "django_spooler.backend.SpoolerBackend"
OPTIONS = {"BACKOFF": 0.1}
JOBS: list[dict[str, object]] = []
CLASSES: dict[str, dict[str, object]] = {}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"log": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["log"], "level": "INFO"},
}

_own = json.loads((BASE_DIR / "settings.json").read_text())
OPTIONS.update(_own.pop("OPTIONS", {}))
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"], "OPTIONS": OPTIONS},
    "kept": {"BACKEND": BACKEND, "OPTIONS": {**OPTIONS, "RESULTS": "database"}},
}
globals().update(_own)
