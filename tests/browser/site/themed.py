"""The demo with the admin of a theme, whose ModelAdmin our pages extend."""

from demo_project.settings import *  # noqa: F403
from demo_project.settings import INSTALLED_APPS, MIDDLEWARE, TASKS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
TASKS["default"]["OPTIONS"]["ADMIN_BASE"] = "unfold.admin.ModelAdmin"
# The theme has scripts in its pages, which the demo's own policy forbids.
MIDDLEWARE = [name for name in MIDDLEWARE if "content_security_policy" not in name]
