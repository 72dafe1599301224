from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "demo_project.members"
