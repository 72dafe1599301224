"""``manage.py prepare_demo``: everything the demo needs before its server starts."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from demo_project.photos.views import have_painted

FIRST_PICTURES = (31, 13, 19, 2)
"""Seeds of what hangs on a new wall."""


class Command(BaseCommand):
    """Migrates, collects the static files and makes an admin user, where not yet done."""

    help = "Bring the demo's database and static files up to date, and make its admin user."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; a new admin user's password is printed, this once."""
        # uWSGI looks for the directories it serves once, at the first request.
        settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        for seed in FIRST_PICTURES:
            have_painted(seed)
        password = secrets.token_urlsafe(9)
        users.create_superuser("admin", password=password)
        self.stdout.write(f"Admin user: admin\nPassword:   {password}   (shown only now)")
