"""django-tasks-db."""

from .base import *  # noqa: F403
from .base import INSTALLED_APPS

INSTALLED_APPS += ["django_tasks_db"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
