"""The addresses of the demo."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from django_spooler.health import health

urlpatterns = [
    path("", include("demo_project.photos.urls")),
    path("", include("demo_project.members.urls")),
    path("queue/", include("demo_project.status.urls")),
    path("admin/", admin.site.urls),
    path("health/spooler/", health),
    # Asked for by browsers on pages that name no icon, as the admin's.
    path("favicon.ico", RedirectView.as_view(url=static("demo/icon.svg"))),
]
