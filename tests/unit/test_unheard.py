"""Which of the framework's log records a runner does without."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from django.test import override_settings
from django.utils.log import RequireDebugTrue

from django_spooler.compat import framework_logger
from django_spooler.processes.unheard import spare_unheard_records


@contextmanager
def logging_to(*filters: logging.Filter) -> Iterator[io.StringIO]:
    """Let one handler be all there is. No fixture: pytest adds its own behind those."""
    text, level = io.StringIO(), framework_logger.level
    handler = logging.StreamHandler(text)
    handler.filters.extend(filters)
    framework_logger.setLevel(logging.INFO)
    with (
        mock.patch.object(framework_logger, "handlers", [handler]),
        mock.patch.object(framework_logger, "propagate", False),
    ):
        yield text
    framework_logger.setLevel(level)


def test_records_that_only_debug_shows_are_not_made() -> None:
    with logging_to(RequireDebugTrue()):
        spare_unheard_records()
        assert not framework_logger.isEnabledFor(logging.INFO)
        assert framework_logger.isEnabledFor(logging.WARNING)


def test_debug_shows_them() -> None:
    with override_settings(DEBUG=True), logging_to(RequireDebugTrue()) as text:
        spare_unheard_records()
        framework_logger.info("heard")
        assert text.getvalue() == "heard\n"


def test_a_handler_of_the_site_gets_them() -> None:
    with logging_to() as text:
        spare_unheard_records()
        framework_logger.info("heard")
        assert text.getvalue() == "heard\n"


def test_a_monitoring_tool_in_the_place_of_logging_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.getMessage())

    monkeypatch.setattr(logging.Logger, "callHandlers", call_handlers)
    with logging_to(RequireDebugTrue()):
        spare_unheard_records()
        framework_logger.info("heard")
    assert seen == ["heard"]
