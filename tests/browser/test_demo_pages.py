"""What a visitor sees of the demo, in a real browser."""

import io
import zipfile

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from tests.integration.server import wait_until

PHONES = [{"width": 390, "height": 844}, {"width": 320, "height": 568}]
PAGES = ["/", "/join/", "/queue/", "/photos/1/", "/no-such-page/"]


@pytest.fixture
def picture(tmp_path):
    """Return the path of a photo as a camera makes it: large, and turned by its EXIF data."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    Image.effect_mandelbrot((2400, 1600), (-2, -1.5, 1, 1.5), 50).save(path, exif=exif)
    return path


def upload(page: Page, path, title: str) -> None:
    page.get_by_label("Picture", exact=True).set_input_files(path)
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Put it on the wall").click()


def loaded_picture(page: Page, title: str) -> tuple[int, int]:
    """Wait for the picture of this title and return its size in pixels."""
    image = page.get_by_role("img", name=title)
    expect(image).to_be_visible(timeout=20_000)
    image.evaluate("image => image.decode()")
    return tuple(image.evaluate("image => [image.naturalWidth, image.naturalHeight]"))


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()


def join(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail address").fill(f"{name.lower()}@example.org")
    press(page, "Join")


# The photo wall


def test_uploaded_photo_appears_on_open_pages_without_a_reload(open_page, picture):
    watching = open_page()
    watching.evaluate("window.notReloaded = true")
    sending = open_page()
    upload(sending, picture, "Mandelbrot set")
    expect(sending.get_by_text("Thank you!")).to_be_visible()
    for page in (sending, watching):
        width, height = loaded_picture(page, "Mandelbrot set")
        assert (width, height) == (427, 640)  # made smaller, and standing
    assert watching.evaluate("window.notReloaded")


def test_what_is_no_picture_is_refused_beside_its_field(open_page, tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("This is no picture.")
    page = open_page()
    upload(page, text, "Notes")
    expect(page.get_by_role("alert")).to_contain_text("Upload a valid image")


def test_too_large_file_is_refused_before_it_is_sent(open_page, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\0" * (10 * 1024 * 1024 + 1))
    page = open_page()
    upload(page, large, "Large")
    field = page.get_by_label("Picture", exact=True)
    assert "up to 10" in field.evaluate("field => field.validationMessage")
    assert page.url.endswith("/")


def test_painted_pictures_are_packed_into_an_album(open_page):
    page = open_page()
    press(page, "Paint three pictures")
    press(page, "Pack an album")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download album").click()
    names = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())).namelist()
    assert len(names) == len(set(names)) >= 7


def test_views_of_a_photo_are_counted_by_a_task(open_page):
    page = open_page("/photos/2/")
    expect(page.get_by_text("seen 0 times before you")).to_be_visible()

    def is_counted():
        page.reload()
        return page.get_by_text("seen 0 times").count() == 0

    wait_until(is_counted, "the view is counted")


# Members


def test_new_member_gets_the_welcome_by_mail(open_page):
    page = open_page("/join/")
    join(page, "Ada")
    expect(page.get_by_role("heading", name="Mail for Ada")).to_be_visible()
    expect(page.get_by_role("heading", name="Welcome to the photo wall")).to_be_visible()
    expect(page.get_by_text("Hello Ada,")).to_be_visible()


def test_second_member_of_an_address_is_refused(open_page):
    join(open_page("/join/"), "Bob")
    page = open_page("/join/")
    join(page, "Bob")
    expect(page.get_by_role("alert")).to_have_text("This address has joined already.")
    expect(page.get_by_label("E-mail address")).to_have_attribute("aria-invalid", "true")


# The queue


def test_queue_page_follows_what_runs_and_waits(open_page):
    page = open_page("/queue/")
    page.evaluate("window.notReloaded = true")
    press(open_page("/queue/"), "Twenty at once")
    running, ready = page.locator("#section-running"), page.locator("#section-ready")
    expect(running).to_contain_text("take_a_while")
    expect(ready).to_contain_text("priority -10")
    expect(page.locator("#figure-ready dd")).not_to_have_text("0")
    expect(ready).to_contain_text("None", timeout=20_000)
    expect(running).not_to_contain_text("take_a_while")
    assert page.evaluate("window.notReloaded")


def test_task_for_later_waits_under_scheduled(open_page):
    page = open_page("/queue/")
    press(page, "In fifteen seconds")
    expect(page.locator("#section-scheduled")).to_contain_text("Fifteen seconds are over")


def test_failing_task_is_tried_again_and_ends_under_failed(open_page):
    page = open_page("/queue/")
    press(page, "Fail on purpose")
    expect(page.locator("#section-scheduled")).to_contain_text("try 1 failed")
    failed = page.locator("#section-failed")
    expect(failed).to_contain_text("RuntimeError: This task fails on purpose", timeout=20_000)


# The admin


def test_admin_opens_with_its_style(demo, open_page):
    page = open_page("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(demo.password)
    press(page, "Log in")
    expect(page.get_by_role("link", name="Photos", exact=True).first).to_be_visible()
    expect(page.locator("#header")).to_have_css("display", "flex")


# How it looks, and to whom


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_phones(open_page, path):
    page = open_page(path)
    for size in PHONES:
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize(("scheme", "dark"), [("dark", True), ("light", False)])
def test_page_is_as_dark_as_the_visitor_likes_it(open_page, scheme, dark):
    page = open_page("/queue/", color_scheme=scheme)
    assert (lightness(page, "backgroundColor") < 0.2) == dark
    assert (lightness(page, "color") > 0.8) == dark


def lightness(page: Page, what: str) -> float:
    """Return how light the page's colour of this kind is, from 0 for black to 1 for white."""
    colour = page.evaluate(f"getComputedStyle(document.body).{what}")
    return max(map(int, colour[4:-1].split(","))) / 255


@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible(open_page, path):
    page = open_page(path)
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONES[0])
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()


def test_refused_form_and_mailbox_are_accessible(open_page):
    page = open_page("/join/")
    join(page, "Eve")
    expect(page.get_by_role("heading", name="Mail for Eve")).to_be_visible()
    assert_accessible(page)
    page.go_back()
    join(page, "Eve")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)


def test_keyboard_reaches_the_content_first(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Picture", exact=True)).to_be_focused()


def test_focus_stays_while_the_page_follows_the_queue(open_page):
    page = open_page()
    photo = page.locator("#photo-1 a")
    photo.focus()
    press(open_page(), "Paint three pictures")
    expect(page.locator("#photo-list > li")).not_to_have_count(4)
    expect(photo).to_be_focused()
