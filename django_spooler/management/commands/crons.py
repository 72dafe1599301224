"""``manage.py crons``: the periodic jobs from a shell."""

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db import Error
from django.utils import timezone

from ...cron import operations, overview
from ...exceptions import LeaseLost
from ...logs import in_words
from ._database import database_problem
from ._verbs import CommandOfVerbs, base_options, counted

_SHOWN = 50
"""Runs that ``history`` prints for a reader who names no limit."""


class Command(CommandOfVerbs):
    """Shows and steers the periodic jobs of this site."""

    help = "Show, run, pause and resume the periodic jobs of this site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        commands = parser.add_subparsers(dest="command", required=True, parser_class=ArgumentParser)
        listed = self._add(commands, "list", "each job: its schedule, next times and last run")
        shown = self._add(commands, "history", "the runs, the newest first")
        for parser_of_some in (listed, shown):
            parser_of_some.add_argument("job", nargs="?", metavar="JOB", help="only of this one")
        shown.add_argument("--limit", type=int, help="so many at most")
        self._add(commands, "check", "fail where a slot has come and no node started it")
        for name, text in (
            ("run", "run a job in this process, now, whether due or not"),
            ("pause", "start no more runs of a job, on any node"),
            ("resume", "let a job run again from its next slot on"),
        ):
            self._add(commands, name, text).add_argument("job", metavar="JOB", help="its name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the sub-command; a database that is away or not migrated ends it with one sentence."""
        try:
            super().handle(*args, **options)
        except Error as error:
            raise CommandError(database_problem(error)) from error

    def _add(self, commands: Any, name: str, text: str) -> ArgumentParser:
        parser: ArgumentParser = commands.add_parser(name, help=text, parents=[base_options()])
        parser.set_defaults(run=getattr(self, f"do_{name}"))
        parser.add_argument("--json", action="store_true", help="for programs")
        return parser

    # Looking

    def do_list(self, options: dict[str, Any]) -> None:
        """Print how each job stands."""
        name = options["job"]
        found = overview.job_states() if name is None else [overview.job_state(name)]
        if options["json"]:
            self._print_json([asdict(state) for state in found])
            return
        for state in found:
            self._say(f"{state.job}  {state.state}")
            self._say(f"  schedule  {state.schedule}")
            self._say(f"  next      {', '.join(map(_local, state.next)) or '-'}")
            self._say(f"  last      {_run_in_words(state.last) if state.last else '-'}")
        self.stdout.write(counted(len(found), "job"))

    def do_history(self, options: dict[str, Any]) -> None:
        """Print the runs of one job, or of all."""
        name, limit = options["job"], options["limit"]
        if limit is not None and limit < 1:
            raise CommandError("--limit must be 1 or more.")
        if name is not None:
            name = overview.name_in_history(name)
        if options["json"]:
            self._print_json([asdict(run) for run in overview.history(name, limit)])
            return
        for run in overview.history(name, limit or _SHOWN):
            self._say(f"{run.job}  {_run_in_words(run)}")

    def do_check(self, options: dict[str, Any]) -> None:
        """Fail where a slot has come long ago and no node started it."""
        found = overview.find_late()
        if options["json"]:
            self._print_json([{"job": name, "slot": slot} for name, slot in found])
        if found:
            late = ", ".join(f"{name} since {_local(slot)}" for name, slot in found)
            raise CommandError(f"No node starts: {late}.")
        self._tell(options, "No job is late.")

    # Acting

    def do_run(self, options: dict[str, Any]) -> None:
        """Run a job here and now."""
        report = operations.run_here(options["job"])
        if not report.due:
            raise CommandError(f"{report.job} runs already, and its runs must not overlap.")
        if isinstance(report.error, LeaseLost):
            raise report.error
        if options["json"]:
            self._print_json(asdict(next(overview.history(report.job, 1))))
        if report.error is not None:
            raise CommandError(f"{report.job} failed: {in_words(report.error)}")
        self._tell(options, f"{report.job} succeeded")

    def do_pause(self, options: dict[str, Any]) -> None:
        """Start no more runs of a job."""
        changed = operations.pause(options["job"])
        self._tell_change(options, "is paused" if changed else "was paused already")

    def do_resume(self, options: dict[str, Any]) -> None:
        """Let a job run again."""
        changed = operations.resume(options["job"])
        self._tell_change(options, "is resumed" if changed else "was not paused")

    # Helpers

    def _tell_change(self, options: dict[str, Any], words: str) -> None:
        if options["json"]:
            self._print_json(asdict(overview.job_state(options["job"])))
        self._tell(options, f"{overview.require(options['job']).name} {words}")

    def _tell(self, options: dict[str, Any], text: str) -> None:
        """Print what a program has no need of."""
        if not options["json"]:
            self._say(text)


def _run_in_words(run: overview.Run) -> str:
    words = f"{run.outcome} for {_local(run.slot)}"
    if run.start is not None:
        words += f", started {_local(run.start)} on {run.node}"
    if run.start is not None and run.end is not None:
        words += f", took {(run.end - run.start).total_seconds():.1f} s"
    last_line = run.error.strip().rpartition("\n")[2]
    return f"{words}: {last_line}" if last_line else words


def _local(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")
