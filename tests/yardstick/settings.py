"""What Django's tests of task backends find for a site."""

SECRET_KEY = "for tests only"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django_cron", "django_spooler"]
TEST_RUNNER = "tests.yardstick.runner.Runner"
