"""What django-cron's tests find for a site: our lock, with the apps in either order."""

import os
import sys

from tests import settings
from tests.databases import database
from tests.settings import *  # noqa: F403

USE_TZ = False
DATABASES = {"default": database(f"django_cron_{sys.version_info.minor}")}
CRONS = os.environ["CRON_APPS"].split()
INSTALLED_APPS = [*(app for app in settings.INSTALLED_APPS if app not in CRONS), *CRONS]
DJANGO_CRON_LOCK_BACKEND = "django_spooler.cron.DatabaseLeaseLock"
TEST_RUNNER = "tests.yardstick.cron_runner.Runner"
