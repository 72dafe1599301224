from django.apps import AppConfig


class StatusConfig(AppConfig):
    name = "demo_project.status"
