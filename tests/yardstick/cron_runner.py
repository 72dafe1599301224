"""Django's test runner with django-cron's tests, and the jobs that their distribution lacks."""

import sys
from types import ModuleType
from unittest import TestSuite

from django.db import connection
from django.test.runner import DiscoverRunner

_FROZEN = (
    "it freezes this process's clock, and time is the server's: what another node's clock says, or"
    " this one's, changes nothing. On SQLite, whose nodes share a machine, the test holds"
)

LEFT_OUT_ON_SERVERS = {
    f"django_cron.tests.TestRunCrons.{name}": _FROZEN
    for name in (
        "test_runs_every_mins",
        "test_runs_every_mins_with_tolerance",
        "test_runs_at_time",
        "test_run_on_weekend",
        "test_run_on_month_days",
        "test_remove_old_succeeded_job_logs",
        "test_run_job_with_logs_in_future",
        "test_silent_produces_no_output_no_run",
    )
}
"""The tests that cannot hold on a database server, each with the reason. On SQLite all of them do."""


class Runner(DiscoverRunner):
    """Runs django-cron's tests with our lock, but where a test chooses another."""

    def build_suite(self, *args: object, **kwargs: object) -> TestSuite:
        """Load the tests beside a module of jobs."""
        from . import cron_jobs

        package = sys.modules["django_cron.test"] = ModuleType("django_cron.test")
        package.cron = sys.modules["django_cron.test.cron"] = cron_jobs
        found = {test.id(): test for test in super().build_suite(*args, **kwargs)}
        left_out = {} if connection.vendor == "sqlite" else LEFT_OUT_ON_SERVERS
        unknown = left_out.keys() - found.keys()
        assert not unknown, f"no such tests to leave out: {unknown}"
        return TestSuite(test for name, test in found.items() if name not in left_out)
