"""What the unit tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_spooler.spool.directory import Spool

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
