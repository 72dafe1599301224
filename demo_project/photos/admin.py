from django.contrib import admin

from .models import Album, Photo


@admin.register(Photo)
class PhotoAdmin(admin.ModelAdmin):
    list_display = ["__str__", "added_at", "ready_at", "made_by", "views"]
    date_hierarchy = "added_at"
    search_fields = ["title"]
    fields = ["title", "added_at", "ready_at", "made_by", "views"]
    readonly_fields = ["added_at", "ready_at", "made_by", "views"]

    def has_add_permission(self, request):
        return False  # photos come over the wall's form, which checks them


@admin.register(Album)
class AlbumAdmin(admin.ModelAdmin):
    list_display = ["__str__", "asked_at", "pictures", "archive"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False
