"""What the unit tests share."""

from collections.abc import Iterator

import pytest

from . import crons_for_tests


@pytest.fixture
def forget() -> Iterator[None]:
    """Let the periodic jobs of the tests do nothing beside, and know nothing of earlier runs."""
    crons_for_tests.ran.clear()
    crons_for_tests.acts.clear()
    yield
    crons_for_tests.acts.clear()
