"""Real servers for the tests: what a test starts ends with it, and its log shows on a failure."""

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import empty_database

from .server import Producer, Server, Setup, Site
from .setups import BARE

LOG_TAIL = 20_000
"""Characters."""

_numbers = itertools.count(1)
_started = pytest.StashKey[list[Server]]()


@pytest.fixture(scope="session")
def databases(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[dict[str, Any]]:
    """Make a database that other processes can use too, with the site's tables; give DATABASES."""
    name = f"spooler_site_{tmp_path_factory.getbasetemp().name.replace('-', '_')}"
    directory = tmp_path_factory.mktemp("database")
    with django_db_blocker.unblock(), empty_database(directory, name) as entry:
        site = Site(tmp_path_factory.mktemp("tables") / "site", {"DATABASES": {"default": entry}})
        site.manage("migrate", "--run-syncdb", "--verbosity=0")
        yield {"default": entry}


class Launcher:
    """Starts what a test, or a module of tests, needs; all of it ends when that has ended."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        directory: Callable[[str], Path],
        databases: dict[str, Any],
        started: list[Server],
    ) -> None:
        self._stack = stack
        self._directory = directory
        self._databases = databases
        self._started = started

    def site(self, **settings: Any) -> Site:
        """Lay out a site with these settings."""
        directory = self._directory("site")
        return Site(directory, {"DATABASES": self._databases, **settings})

    def server(self, setup: Setup = BARE, *, site: Site | None = None, **settings: Any) -> Server:
        """Start uWSGI on the site, or on a new one with these settings."""
        server = Server(site or self.site(**setup.settings, **settings), setup)
        self._started.append(server)
        self._stack.callback(self._started.remove, server)
        self._stack.callback(server.end)
        return server.start()

    def producer(self, site: Site) -> Producer:
        """Start a process of the site that is not uWSGI."""
        producer = Producer(site)
        self._stack.callback(producer.end)
        return producer


@contextlib.contextmanager
def _launcher(
    request: pytest.FixtureRequest, factory: pytest.TempPathFactory, databases: dict[str, Any]
) -> Iterator[Launcher]:
    started = request.config.stash.setdefault(_started, [])
    with contextlib.ExitStack() as stack:
        yield Launcher(stack, factory.mktemp, databases, started)


@pytest.fixture
def launch(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    databases: dict[str, Any],
) -> Iterator[Launcher]:
    """Start servers and producers for one test."""
    with _launcher(request, tmp_path_factory, databases) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def uwsgi_setup() -> Setup:
    """How uWSGI runs: by a bare command line, where a module does not say otherwise."""
    return BARE


@pytest.fixture(scope="module")
def launch_for_module(
    uwsgi_setup: Setup,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    databases: dict[str, Any],
) -> Iterator[Launcher]:
    """Start servers and producers that the module's tests share, for each of its setups anew."""
    with _launcher(request, tmp_path_factory, databases) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def server(uwsgi_setup: Setup, launch_for_module: Launcher) -> Server:
    """Serve the site for all tests of the module."""
    return launch_for_module.server(uwsgi_setup)


@pytest.fixture
def name() -> str:
    """Return what tells this test's tasks from those of the others."""
    return f"name-{next(_numbers)}"


@pytest.fixture
def job() -> str:
    """Return a periodic job's name that no other test's has: they share the database."""
    return f"job-{next(_numbers)}-{time.time_ns()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the running servers with a failure."""
    report = yield
    if report.failed:
        for server in item.config.stash.get(_started, []):
            title = f"{server.setup.name}: {server.log_path}"
            report.sections.append((title, server.log[-LOG_TAIL:]))
    return report
