"""The addresses of the demo."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("demo_project.photos.urls")),
    path("", include("demo_project.members.urls")),
    path("queue/", include("demo_project.status.urls")),
    path("admin/", admin.site.urls),
]
