from django.urls import path

from . import views

urlpatterns = [
    path("join/", views.join, name="join"),
    path("mailbox/", views.mailbox, name="mailbox"),
    path("mailbox/letters/", views.mailbox_fragment, name="mailbox-fragment"),
]
