"""Settings of the demo. What django-spooler needs is INSTALLED_APPS and TASKS.

With CRON the spoolers run the periodic jobs; the two settings behind TASKS are django-cron's.
"""

import os
import secrets
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = BASE_DIR / "var"

INSTALLED_APPS = [
    "demo_project",
    "demo_project.photos",
    "demo_project.members",
    "demo_project.status",
    "django_cron",
    "django_spooler",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

TASKS = {
    "default": {
        "BACKEND": "django_spooler.backend.SpoolerBackend",
        "QUEUES": ["default", "mail"],
        # Ctrl-C ends everything within seconds: a task that takes longer runs at the next start.
        "OPTIONS": {"STOP_GRACE": 2, "CRON": True},
    }
}
CRON_CLASSES = ["demo_project.members.cron.TidyMailbox"]
DJANGO_CRON_LOCK_BACKEND = "django_spooler.cron.DatabaseLeaseLock"


def read_or_make_secret(path: Path) -> str:
    """Return the site's secret, made at the first start and readable by us alone."""
    path.parent.mkdir(exist_ok=True)
    try:
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as new:
            new.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = read_or_make_secret(VAR / "secret_key")
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "demo_project.urls"
WSGI_APPLICATION = "demo_project.wsgi.application"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo_project.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR / "demo.sqlite3",
        "OPTIONS": {
            # Several processes write: readers go on during a write (WAL), a
            # writer waits its turn (timeout) and takes it at the start of its
            # transaction (IMMEDIATE), where waiting cannot end in "locked".
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
MEDIA_URL = "/media/"
MEDIA_ROOT = VAR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # What visitors sent is never served: only what we made of it is.
    "originals": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": VAR / "originals", "base_url": None},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Mail stays on this machine and can be read at /mailbox/.
MAILERS = {"default": {"BACKEND": "demo_project.members.mail.MailboxBackend"}}
if django.VERSION < (6, 1):
    EMAIL_BACKEND = MAILERS["default"]["BACKEND"]
DEFAULT_FROM_EMAIL = "Photo wall <wall@example.org>"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
