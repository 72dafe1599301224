"""The site's pages."""

from django.urls import path
from shop import early  # noqa: F401

from . import views

urlpatterns = [
    path("", views.home),
    path("call", views.call),
    path("order", views.order),
]
