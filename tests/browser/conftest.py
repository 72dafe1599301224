"""The demo, served by a plain ``uwsgi --ini uwsgi.ini``, and a browser to look at it with."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.integration.server import ROOT, free_ports, wait_until

QUIET = [
    "--no-sandbox",  # which does not start for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = "demo_project.settings"
PATIENCE = 20_000
"""Milliseconds that the browser waits for what is expected."""


class Demo:
    """The demo in a folder of its own, as a clone has it: nothing is prepared by hand."""

    def __init__(self, directory: Path, settings: str = SETTINGS) -> None:
        shutil.copytree(ROOT / "demo_project", directory / "demo_project")
        for name in ("manage.py", "uwsgi.ini"):
            shutil.copy(ROOT / name, directory)
        shutil.copytree(Path(__file__).with_name("site"), directory, dirs_exist_ok=True)
        (port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        self._log = directory / "log"
        with self._log.open("wb") as output:
            self._uwsgi = subprocess.Popen(
                [
                    Path(sys.executable).with_name("uwsgi"),
                    *("--set-placeholder", f"port={port}", "--ini", "uwsgi.ini"),
                ],
                cwd=directory,
                env=os.environ | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        """What uWSGI and the site have said."""
        return self._log.read_text(errors="replace")

    @property
    def password(self) -> str:
        """The admin's, which the first start tells."""
        told = re.search(r"^Password: +(\S+)", self.log, re.MULTILINE)
        assert told, self.log
        return told[1]

    def wait_until_up(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "the demo answers")

    def _answers(self) -> bool:
        assert self._uwsgi.poll() is None, self.log
        try:
            with urlopen(self.address, timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self) -> None:
        """Stop it as Ctrl-C does."""
        self._uwsgi.send_signal(signal.SIGINT)
        self._uwsgi.wait(30)


@pytest.fixture(scope="module")
def demo_settings() -> str:
    """Name the settings the demo has in this module."""
    return SETTINGS


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, demo_settings: str) -> Iterator[Demo]:
    """Serve the demo to the module's tests."""
    demo = Demo(tmp_path_factory.mktemp("demo"), demo_settings)
    try:
        demo.wait_until_up()
        yield demo
    finally:
        print(demo.log)
        demo.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium: nothing is downloaded, and it is what a visitor has."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing. Try: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(demo: Demo, browser: Browser) -> Iterator[Open]:
    """Open pages, each as a new visitor; fail where one complains or asks another host."""
    with contextlib.ExitStack() as stack:
        complaints: list[str] = []

        def open_page(path: str = "/", **context: Any) -> Page:
            visitor = stack.enter_context(browser.new_context(**context))
            visitor.set_default_timeout(PATIENCE)
            page = visitor.new_page()
            page.on("console", note)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", note_foreign)
            page.goto(demo.address + path)
            return page

        def note(message: ConsoleMessage) -> None:
            if "/no-such-page/" not in message.location["url"]:
                complaints.append(f"{message.text} {message.location['url']}")

        def note_foreign(request: Request) -> None:
            if not request.url.startswith((demo.address, "blob:", "data:")):
                complaints.append(f"asks for {request.url}")

        yield open_page
        assert not complaints


@pytest.fixture
def open_admin(demo: Demo, open_page: Open) -> Open:
    """Open a page of the admin as its superuser."""

    def open_admin(path: str, **context: Any) -> Page:
        page = open_page(f"/admin/login/?next={path}", **context)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(demo.password)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("link", name="Overview")).to_be_visible()
        return page

    return open_admin


@pytest.fixture
def failed(open_page: Open) -> None:
    """Let a task fail for good."""
    page = open_page("/queue/")
    page.get_by_role("button", name="Fail on purpose").click()
    page.get_by_role("button", name="In fifteen seconds").click()
    expect(page.locator("#section-failed")).to_contain_text("RuntimeError", timeout=20_000)
