"""What holds for all tests: which of them apply here, and that CI skips none."""

import os
import signal
from collections.abc import Generator

import pytest

CI = os.environ.get("CI") == "true"

# As at a terminal, here and in every server that a test starts: what a script runs in the background
# ignores Ctrl-C, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed in CI, where everything a test can need is installed."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI skips nothing, but this test was skipped: {reason}"
    return report
