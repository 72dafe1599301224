"""The admin's pages where a theme's ModelAdmin is their base."""

import pytest
from playwright.sync_api import expect

from .admin import LIST, LOOKS, keep_picture


@pytest.fixture(scope="module")
def demo_settings():
    return "themed"


@pytest.mark.parametrize("look", LOOKS)
def test_pages_stand_in_the_theme(open_admin, failed, look):
    page = open_admin(f"{LIST}?state=failed", **LOOKS[look])
    keep_picture(page, f"themed-list-{look}")
    page.locator("#result_list tbody th a").first.click()
    expect(page.get_by_text("Traceback (most recent call last)").first).to_be_visible()
    keep_picture(page, f"themed-detail-{look}")
    for name in ("Failures", "Overview", "Periodic jobs", "Enqueue"):
        page.locator("#content-main").get_by_role("link", name=name).first.click()
        expect(page.locator("#content-main")).to_be_visible()
        keep_picture(page, f"themed-{name.lower().replace(' ', '-')}-{look}")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]
