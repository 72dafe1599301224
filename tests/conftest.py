"""What holds for all tests: which of them apply here."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "applies_if(condition): the test has a meaning only here, e.g. on this Django or database;"
        " elsewhere it is not collected",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not apply, which is not the same as skipping them."""
    foreign = [
        item
        for item in items
        if not all(marker.args[0] for marker in item.iter_markers("applies_if"))
    ]
    if foreign:
        config.hook.pytest_deselected(items=foreign)
        items[:] = [item for item in items if item not in foreign]
