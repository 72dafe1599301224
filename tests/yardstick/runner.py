"""Django's test runner, with our backend in place of Django's and without what does not apply."""

from unittest import TestSuite
from unittest.mock import patch

from django.test.runner import DiscoverRunner
from django.test.testcases import SimpleTestCase

from .understudies import AtOnce, ForLater

_CHANGED_IN_MEMORY = "it changes a result where DummyBackend keeps it, which is a list in memory"

LEFT_OUT = {
    "tasks.test_dummy_backend.DummyBackendTestCase.test_refresh_result": _CHANGED_IN_MEMORY,
    "tasks.test_dummy_backend.DummyBackendTestCase.test_refresh_result_async": _CHANGED_IN_MEMORY,
    "tasks.test_immediate_backend.ImmediateBackendTestCase.test_cannot_pass_run_after": (
        "it asks for the refusal of run_after, which we support"
    ),
}
"""The tests that do not apply, each with the reason."""


class Runner(DiscoverRunner):
    """Runs Django's tests of task backends on ours."""

    def build_suite(self, *args: object, **kwargs: object) -> TestSuite:
        """Load the tests while the names of Django's backends stand for ours."""
        # For as long as the process lives: the tests go on to name the backends as they run.
        patch("django.tasks.backends.immediate.ImmediateBackend", AtOnce).start()
        patch("django.tasks.backends.dummy.DummyBackend", ForLater).start()
        # Results are kept in the database, which Django's own backends have no use for.
        SimpleTestCase.databases = {"default"}
        found = {test.id(): test for test in super().build_suite(*args, **kwargs)}
        unknown = LEFT_OUT.keys() - found.keys()
        assert not unknown, f"no such tests to leave out: {unknown}"
        return TestSuite(test for name, test in found.items() if name not in LEFT_OUT)
