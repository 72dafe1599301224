"""The admin's pages beside a long backlog that a spooler works on.

Every page answers within 300 ms, the web worker's memory stays as it is, and an action on half of
all tasks ends in requests that no proxy gives up on.
"""

import http.client
import os
import re
import statistics
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .server import Server, running

FULL = 100_000
"""Tasks that wait; half as many failed, a tenth is scheduled."""

LIST = "/admin/django_spooler/task/"
BOUND = 0.3
"""Seconds to the first byte that a page may take on a machine of two processors. What is bounded is
what the web worker works for it: how long it waits for a processor is told by others on the machine.
"""

PATIENCE = 30.0
"""Seconds a request may take: proxies give up after 30 or 60."""

_ROUNDS = 9
_BACKLOG = 60
"""Seconds that what waits keeps the spooler busy, at least."""

_MEMORY = 8 << 10
"""KiB a web worker may grow by, once it has shown each page."""

_PREPARE = """
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django_spooler.spool.directory import Spool
from django_spooler.spool.listing import files
from django_spooler.spool.place import Place
call_command("migrate", verbosity=0)
user = get_user_model().objects.create_superuser("office", "", "")
session = SessionStore()
session["_auth_user_id"], session["_auth_user_backend"] = str(user.pk), "django.contrib.auth.backends.ModelBackend"
session["_auth_user_hash"] = user.get_session_auth_hash()
session.create()
for number in range({failed}):
    fail.enqueue(number)
spool = Spool(os.path.join(os.environ["TORTURE_DIR"], "spool"))
for number, file in enumerate(list(files(spool, "ready"))):
    spool.set_aside(
        file.path, "ValueError: no use", identifier=f"{{number:032x}}", task=fail.module_path,
        traceback="Traceback: no use", place=file.place, name=file.name,
    )
for number in range({ready}):
    work.using(priority=number % 3).enqueue(number, {milliseconds})
last = work.using(priority=-1).enqueue({ready})
for number in range({scheduled}):
    later = work.using(run_after=timezone.now() + timedelta(hours=number % 48 + 1)).enqueue(number)
print(session.session_key, last.id, later.id)
"""


def run(directory: Path, *, seed: int, size: int = FULL) -> dict[str, Any]:
    """Time the pages, then retry what failed and change the priority of what waits."""
    with running(directory, DJANGO_SETTINGS_MODULE="tests.torture.site.office") as server:
        server.manage("pause")
        told = server.shell(
            _PREPARE.format(
                ready=size,
                failed=size // 2,
                scheduled=size // 10,
                milliseconds=max(2, _BACKLOG * 1000 // size),
            )
        )
        session, ready, scheduled = told.split()
        browser = _Browser(server, session)
        server.manage("resume")
        figures = _time_pages(browser, ready, scheduled)
        server.manage("pause")
        figures |= _act(browser, "state=failed", "retry_selected", size // 2)
        figures |= _act(browser, "state=scheduled", "prioritize_selected", size // 10, priority=7)
        for state in ("ready", "scheduled", "failed"):
            server.empty(state)
        server.manage("resume")
        return figures


class _Browser:
    """Somebody logged in."""

    def __init__(self, server: Server, session: str) -> None:
        self._server = server
        self._cookies = f"sessionid={session}; csrftoken={'a' * 32}"

    def get(self, path: str) -> tuple[float, str]:
        """Return the seconds to the first byte, and the page."""
        return self._ask("GET", path)

    def post(self, path: str, **fields: Any) -> tuple[float, str]:
        """Send a form; return the seconds to the first byte, and the page, if it is one."""
        body = urlencode({**fields, "csrfmiddlewaretoken": "a" * 32}, doseq=True)
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[float, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=120)
        headers = {"Cookie": self._cookies}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.monotonic()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        took = time.monotonic() - began
        text = answer.read().decode()
        connection.close()
        assert answer.status in (200, 302), f"{answer.status} {path} {text[:2000]}"
        return took, text

    def memory(self) -> int:
        """Return the KiB of the web worker that are in memory, from proc(5)."""
        return int((self._proc / "status").read_text().partition("VmRSS:")[2].split()[0])

    def worked(self) -> float:
        """Return the seconds of a processor that the web worker has used, from proc(5)."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def _proc(self) -> Path:
        (worker,) = self._server.web_workers()
        return Path(f"/proc/{worker}")


def _time_pages(browser: _Browser, ready: str, scheduled: str) -> dict[str, Any]:
    pages = {
        "all": LIST,
        "ready": f"{LIST}?state=ready",
        "ready, page 100": f"{LIST}?state=ready&p=100",
        "ready, the last": f"{LIST}?state=ready&o=-time",
        "running": f"{LIST}?state=running",
        "scheduled": f"{LIST}?state=scheduled",
        "failed": f"{LIST}?state=failed",
        "search": f"{LIST}?q=nowhere",
        "one queue": f"{LIST}?queue=default",
        "one task": f"{LIST}?task=tests.torture.site.tasks.work",
        "last hour": f"{LIST}?age=1h",
        "other libraries": f"{LIST}?state=other",
        "overview": f"{LIST}overview/",
        "failures": f"{LIST}failures/",
        "enqueue": f"{LIST}enqueue/",
        "a waiting task": f"{LIST}{ready}/change/",
        "a scheduled task": f"{LIST}{scheduled}/change/",
        "a failed task": f"{LIST}{0:032x}/change/",
        "periodic jobs": "/admin/django_spooler/cronjob/",
        "runs": "/admin/django_spooler/cronrun/",
    }
    for path in pages.values():
        browser.get(path)
    before = browser.memory()
    times: dict[str, list[float]] = {}
    worked = {}
    for name, path in pages.items():
        began = browser.worked()
        times[name] = [browser.get(path)[0] for _ in range(_ROUNDS)]
        worked[name] = (browser.worked() - began) / _ROUNDS
    grown = browser.memory() - before
    assert grown < _MEMORY, f"the web worker has grown by {grown} KiB from {before}"
    figures = {
        name: f"{statistics.median(took) * 1000:.0f}, of work {worked[name] * 1000:.0f}"
        for name, took in times.items()
    }
    assert max(worked.values()) < BOUND, figures
    return {
        **{f"{name}, ms": figure for name, figure in figures.items()},
        "web worker, KiB": f"{before}, and {grown} more",
    }


def _act(browser: _Browser, query: str, action: str, expected: int, **terms: Any) -> dict[str, Any]:
    """Do something to all that match, as a browser does, round by round."""
    address = f"{LIST}?{query}"
    asked = {"action": action, "select_across": "1"}
    took, page = browser.post(address, **asked)
    rounds = [took]
    while fields := _fields(page):
        took, page = browser.post(address, **{**asked, **fields, **terms, "brief": "1"})
        rounds.append(took)
    done = browser.get(address)[1]
    assert f"{expected:,} tasks: " in done, re.findall('<li class="[a-z]+">.*', done)
    assert max(rounds) < PATIENCE, rounds
    return {
        f"{action} of {expected:,}": f"{sum(rounds):.1f} s in {len(rounds)} requests, the longest"
        f" {max(rounds):.1f} s"
    }


def _fields(page: str) -> dict[str, str]:
    """Return the hidden fields of the form that asks for the next round, {} without one."""
    if 'name="post"' not in page:
        return {}
    return {name: unescape(value) for name, value in _hidden(page)}


def _hidden(page: str) -> Iterator[tuple[str, str]]:
    for tag in re.findall(r'<input type="hidden"[^>]*>', page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value and name[1] != "csrfmiddlewaretoken":
            yield name[1], value[1]
