"""The site's view, and the admin."""

from django.contrib import admin
from django.urls import path

from .urls import urlpatterns as site_urls

urlpatterns = [*site_urls, path("admin/", admin.site.urls)]
