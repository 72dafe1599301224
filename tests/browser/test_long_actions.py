"""An action that takes many requests, in a real browser."""

import pytest
from playwright.sync_api import expect

from .admin import LIST


@pytest.fixture(scope="module")
def demo_settings():
    return "brief"


def test_action_goes_on_by_itself_and_shows_how_far_it_got(open_admin, open_page):
    other = open_page("/queue/")
    for _ in range(3):
        other.get_by_role("button", name="In fifteen seconds").click()
    page = open_admin(f"{LIST}?state=scheduled")
    page.get_by_label("Action:").select_option(label="Change priority of selected waiting tasks")
    page.get_by_label("all 3 that match").check()
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Priority").fill("7")
    rounds = []
    page.on("response", lambda answer: rounds.append(answer.request.method))
    page.get_by_role("button", name="Yes, I’m sure").click()
    expect(page.get_by_text("3 tasks: Given priority 7.")).to_be_visible()
    assert rounds.count("POST") >= 3
    expect(page.locator("#result_list tbody td:nth-child(5)").first).to_have_text("7")
