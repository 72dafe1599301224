from django.urls import path

from . import views

urlpatterns = [
    path("", views.wall, name="wall"),
    path("photos/", views.wall_fragment, name="wall-fragment"),
    path("photos/<int:pk>/", views.photo, name="photo"),
    path("photos/paint/", views.paint, name="paint"),
    path("photos/album/", views.ask_for_album, name="album"),
]
