"""What the tests of the admin's pages share."""

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LIST = "/admin/django_spooler/task/"
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def keep_picture(page: Page, name: str) -> None:
    """Keep a picture where one is wanted: PICTURES names the directory."""
    if directory := os.environ.get("PICTURES"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


def assert_fits_and_is_accessible(page: Page) -> None:
    # What it would load to look at is what a style sheet imports, from a wrong address.
    found = Axe().run(page, options={"preload": False})
    assert not found.violations_count, found.generate_report()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
