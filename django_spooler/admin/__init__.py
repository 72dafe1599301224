"""The queue in Django's admin: a skin over ``browse``, ``overview`` and ``operations``."""

from django.contrib import admin

from ..models import Task
from .tasks import TaskAdmin

admin.site.register(Task, TaskAdmin)
