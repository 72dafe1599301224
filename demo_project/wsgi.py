"""The entry point for uWSGI."""

import os

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")
application = get_wsgi_application()

if not settings.DATABASES["default"]["NAME"].exists():
    call_command("prepare_demo")  # a start without make demo, which does it too
