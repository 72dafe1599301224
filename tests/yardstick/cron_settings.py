"""What django-cron's tests find for a site: our lock, with the apps in either order."""

import os
import sys

from tests.databases import database

SECRET_KEY = "for tests only"
USE_TZ = False
DATABASES = {"default": database(f"django_cron_{sys.version_info.minor}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CRONS = os.environ.get("CRON_APPS", "django_cron django_spooler").split()
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    *CRONS,
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
DJANGO_CRON_LOCK_BACKEND = "django_spooler.cron.DatabaseLeaseLock"
TASKS = {"default": {"BACKEND": "django_spooler.backend.SpoolerBackend"}}

TEST_RUNNER = "tests.yardstick.cron_runner.Runner"
