from django.urls import path

from . import views

urlpatterns = [
    path("", views.queue, name="queue"),
    path("board/", views.queue_fragment, name="queue-fragment"),
    path("<slug:action>/", views.act, name="act"),
]
