"""The admin's pages of the queue in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from .admin import LIST, LOOKS, assert_fits_and_is_accessible, keep_picture


@pytest.mark.parametrize("look", LOOKS)
def test_pages_fit_and_are_accessible_in_every_look(open_admin, failed, look):
    page = open_admin(f"{LIST}?state=failed", **LOOKS[look])
    page.get_by_role("button", name="Stop following").click()
    expect(page.get_by_role("button", name="Follow again")).to_have_attribute(
        "aria-pressed", "true"
    )
    keep_picture(page, f"list-{look}")
    assert_fits_and_is_accessible(page)
    page.locator("#result_list tbody th a").first.click()
    expect(page.get_by_text("Traceback (most recent call last)").first).to_be_visible()
    keep_picture(page, f"detail-{look}")
    assert_fits_and_is_accessible(page)
    for name in ("Failures", "Overview", "Periodic jobs", "Enqueue"):
        page.get_by_role("link", name=name).first.click()
        expect(page).to_have_title(f"{name} | Django site admin")
        keep_picture(page, f"{name.lower()}-{look}")
        assert_fits_and_is_accessible(page)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("textarea").first).to_be_visible()
    keep_picture(page, f"call-{look}")
    assert_fits_and_is_accessible(page)


def test_list_follows_the_queue_and_keeps_what_is_selected(open_admin, failed, open_page):
    page = open_admin(f"{LIST}?state=failed")
    page.evaluate("window.notReloaded = true")
    box = page.locator(".action-select").first
    box.check()
    box.focus()
    before = page.locator(".action-select").count()
    other = open_page("/queue/")
    other.get_by_role("button", name="Fail on purpose").click()
    expect(page.locator(".action-select")).not_to_have_count(before, timeout=20_000)
    selected = page.locator(".action-select:checked")
    expect(selected).to_have_count(1)
    expect(selected).to_be_focused()
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^\d+ tasks?$"))
    assert page.evaluate("window.notReloaded")


@pytest.mark.parametrize("path", [f"{LIST}?state=failed", f"{LIST}overview/"])
def test_page_follows_only_while_it_is_seen_and_wanted(open_admin, path):
    page = open_admin(path)
    page.clock.install()
    page.reload()
    looks = []
    page.on("request", lambda request: looks.append(request.url))

    def looks_within_a_minute():
        looks.clear()
        for _ in range(6):
            page.clock.run_for(10_000)
            page.evaluate("fetch('/admin/jsi18n/')")  # what was asked before it has been answered
        return sum(url.endswith(path) for url in looks)

    assert looks_within_a_minute()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    assert not looks_within_a_minute()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    with page.expect_request(f"**{path}"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("button", name="Stop following").click()
    assert not looks_within_a_minute()
    page.get_by_role("button", name="Follow again").click()
    assert looks_within_a_minute()


def test_overview_keeps_focus_and_scroll_while_it_follows(open_admin, open_page):
    page = open_admin(f"{LIST}overview/", viewport={"width": 390, "height": 400})
    button = page.get_by_role("button", name="Pause: mail")
    button.focus()
    assert page.evaluate("scrollY") > 0
    place = button.bounding_box()["y"]
    failed = page.locator(".spooler-tile", has_text="Failed").first
    before = failed.text_content()
    other = open_page("/queue/")
    other.get_by_role("button", name="Fail on purpose").click()
    expect(failed).not_to_have_text(before, timeout=20_000)
    expect(button).to_be_focused()
    assert button.bounding_box()["y"] == pytest.approx(place, abs=2)
    expect(page.get_by_role("status")).to_contain_text("failed")


def test_selected_task_is_discarded_after_a_question(open_admin, failed):
    page = open_admin(f"{LIST}?state=failed")
    page.locator(".action-select").first.check()
    page.get_by_label("Action:").select_option(label="Discard selected tasks")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("This concerns 1 task.")).to_be_visible()
    page.get_by_role("button", name="Yes, I’m sure").click()
    expect(page.get_by_text("1 task: Discarded.")).to_be_visible()


def test_periodic_job_is_paused_resumed_and_run_now(open_admin):
    page = open_admin("/admin/django_spooler/cronjob/")
    job = page.get_by_role("row").filter(has_text="tidy_mailbox")
    job.get_by_role("button", name="Pause").click()
    expect(job).to_contain_text("paused")
    job.get_by_role("button", name="Resume").click()
    expect(job).to_contain_text("waiting")
    job.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Handed to the spooler to run now.")).to_be_visible()
    job.get_by_role("link").click()
    expect(page.locator("#result_list tbody tr").first).to_contain_text("Success", timeout=20_000)
    assert_fits_and_is_accessible(page)
