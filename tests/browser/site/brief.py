"""The demo whose admin does one task in a round."""

from demo_project.settings import *  # noqa: F403

ROOT_URLCONF = "brief_urls"
