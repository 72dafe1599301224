from django.apps import AppConfig


class PhotosConfig(AppConfig):
    name = "demo_project.photos"
