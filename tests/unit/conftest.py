"""What the unit tests share."""

import os
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from django_spooler.envelope import read
from django_spooler.message import Message
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import order

from . import crons_for_tests


@pytest.fixture
def forget() -> Iterator[None]:
    """Let the periodic jobs of the tests do nothing beside, and know nothing of earlier runs."""
    crons_for_tests.ran.clear()
    crons_for_tests.acts.clear()
    yield
    crons_for_tests.acts.clear()


@pytest.fixture
def spool_of_two_queues(settings: Any, tmp_path: Path) -> Spool:
    """Return the spool that the site's queues "default" and "mail" go to, left to spoolers."""
    options = {"SPOOLERS": dict.fromkeys(["default", "mail"], tmp_path), "OUTSIDE_UWSGI": "spool"}
    backend = {
        "BACKEND": "django_spooler.backend.SpoolerBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": options,
    }
    settings.TASKS = {"default": backend}
    return Spool(tmp_path)


class Queue:
    """A spool directory, and what is queued there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def messages(self) -> list[Message]:
        """The messages of what is ready, in the order they are run in."""
        found = [
            (order(name), read(os.path.join(parent, name), signed=False)[0])
            for parent, _, names in os.walk(self.directory / "django" / "ready")
            for name in names
        ]
        return [message for _, message in sorted(found, key=itemgetter(0))]

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return [message.id for message in self.messages]

    def refuse(self) -> None:
        """Make the directory what no spool can be, for as long as the test says."""
        self.directory.write_text("")

    def take_again(self) -> None:
        """Let it be made anew."""
        self.directory.unlink()


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """Return where the tasks of ``backend`` go."""
    return Queue(tmp_path / "spool")


@pytest.fixture(params=[None, "database"], ids=["without results", "with results"])
def results(request: pytest.FixtureRequest) -> str | None:
    """Return the option of ``backend``."""
    return request.param


@pytest.fixture
def backend(settings: Any, queue: Queue, results: str | None) -> None:
    """Leave the site's tasks to spoolers, with and without results."""
    options = {
        "OUTSIDE_UWSGI": "spool",
        "SPOOLERS": {"default": str(queue.directory)},
        "RESULTS": results,
    }
    entry = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": entry}
