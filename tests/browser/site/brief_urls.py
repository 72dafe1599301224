"""The demo's addresses."""

from demo_project.urls import urlpatterns
from django_spooler.admin import actions

__all__ = ["urlpatterns"]
actions.BRIEF = 0.0
