"""``manage.py runcrons``: what is due of the classes of django-cron and of the functions."""

import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, close_old_connections
from django.utils.module_loading import import_string

from ...cron import cron_log, history, manager, runner
from ...cron.jobs import PeriodicJob, find_job
from ._database import database_problem


class Command(BaseCommand):
    """Runs what is due, one job after the other; in the place of django-cron's."""

    help = (
        "Runs the periodic jobs that are due and that no other node runs. Call it each minute from"
        " crontab on as many nodes as you like. The exit code is 1 after a job failed."
    )

    _failed = False
    _silent = False
    _trouble: Error | None = None
    """Why the database did not tell what is due."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take django-cron's arguments."""
        parser.add_argument(
            "cron_classes",
            nargs="*",
            metavar="JOB",
            help="dotted path of a class, or name of a function's job; default all",
        )
        parser.add_argument(
            "--force", action="store_true", help="run the jobs now, whether due or not"
        )
        parser.add_argument("--silent", action="store_true", help="print nothing")
        parser.add_argument(
            "--dry-run", action="store_true", help="run nothing, print what would be run"
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """Exit with 1 after a job failed; ``call_command`` does not raise for it."""
        super().run_from_argv(argv)
        if self._failed:
            sys.exit(1)

    def check(self, *args: Any, **options: Any) -> None:
        """Make the site's system checks; some of Django's ask the database, which may be away."""
        try:
            super().check(*args, **options)
        except Error as error:
            raise CommandError(database_problem(error)) from error

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the named jobs, or all."""
        how = {"force": options["force"], "dry_run": options["dry_run"]}
        names = options["cron_classes"]
        self._failed, self._silent, self._trouble = False, options["silent"], None
        self._say(f"Running Crons\n{'=' * 40}")
        try:
            for name in names or getattr(settings, "CRON_CLASSES", ()):
                self._run_named(name, how)
            if not names:
                self._run_functions(None, how)
            if apps.is_installed("django_cron"):
                cron_log.clear_old()
        except Error as error:
            self._trouble = error
        if self._trouble is not None:
            self._failed = True
            self.stderr.write(database_problem(self._trouble))
        close_old_connections()

    def _run_named(self, name: str, how: dict[str, bool]) -> None:
        if (job := find_job(name)) is not None:
            self._run_functions([job], how)
            return
        try:
            cron_class = import_string(name)
        except Exception:  # whatever its module raises
            self._failed = True
            self.stdout.write(
                "ERROR: Make sure these are valid cron class names, or names of jobs:"
                f" {name}\n\n{traceback.format_exc()}"
            )
            return
        report = manager.run_class(cron_class, silent=self._silent, stdout=self.stdout, **how)
        self._failed |= report.error is not None
        if report.run is not None:
            history.tidy([report.job])
        elif isinstance(report.error, Error):
            self._trouble = report.error

    def _run_functions(self, jobs: Sequence[PeriodicJob] | None, how: dict[str, bool]) -> None:
        for report in runner.run_due(jobs, **how):
            self._failed |= report.error is not None
            self._say(f"[{report.mark}] {report.job}")

    def _say(self, line: str) -> None:
        if not self._silent:
            self.stdout.write(line)
