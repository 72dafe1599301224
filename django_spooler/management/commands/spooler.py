"""``manage.py spooler``: the queue from a shell."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from ... import diagnosis, operations, overview
from ...backends import queue_names, served_directories
from ...executors import leave_to_spoolers
from ...processes.work import work
from ...reloading import work_and_reload
from ...spool.directory import Spool
from ...spool.listing import OTHER, STATES, TaskFile
from ...spool.names import printable
from ...tasks import find_task, task_names
from ._terminal import can_show_tables, show_table, shown_progress
from ._verbs import CommandOfVerbs, base_options, counted


class Command(CommandOfVerbs):
    """Shows and steers the spool directories of this site."""

    help = "Show, retry, discard and run the tasks in this site's spool directories."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the sub-commands."""
        commands = parser.add_subparsers(dest="command", required=True, parser_class=ArgumentParser)
        self._add(commands, "status", "counts and processes of each directory", json=True)
        self._add_list(commands)
        shown = self._add(commands, "show", "one task in full", json=True)
        shown.add_argument("id", help="as in the list")
        hurried = self._add(commands, "run-now", "let scheduled tasks run at once")
        hurried.add_argument("ids", nargs="+", metavar="ID")
        hurried.set_defaults(all=False)
        moved = self._add(commands, "prioritize", "give waiting tasks another priority")
        moved.add_argument("ids", nargs="+", metavar="ID")
        moved.add_argument(
            "--priority", type=int, required=True, help="-100 to 100, higher runs first"
        )
        moved.set_defaults(all=False)
        for name, text in (("retry", "put failed tasks back"), ("discard", "delete tasks")):
            chosen = self._add(commands, name, text)
            chosen.add_argument("ids", nargs="*", metavar="ID")
            chosen.add_argument("--all", action="store_true", help="every failed task")
            chosen.add_argument("--task", help="with --all: only of this dotted path")
            chosen.set_defaults(state="failed")
            if name == "discard":
                chosen.add_argument(
                    "--state",
                    choices=(*_DISCARDABLE, "all"),
                    help="with --all: those that wait, too",
                )
        self._add_enqueue(commands)
        self._add_work(commands)
        self._add_pauses(commands)
        examined = self._add(commands, "doctor", "what is wrong, and the remedy", json=True)
        examined.add_argument(
            "--timeout",
            type=float,
            default=diagnosis.CANARY_SECONDS,
            help="seconds to wait for the task that is sent to each queue",
        )

    def _add(self, commands: Any, name: str, text: str, *, json: bool = False) -> ArgumentParser:
        parser: ArgumentParser = commands.add_parser(name, help=text, parents=[base_options()])
        parser.set_defaults(run=getattr(self, f"do_{name.replace('-', '_')}"))
        if json:
            parser.add_argument("--json", action="store_true", help="for programs")
        return parser

    def _add_list(self, commands: Any) -> None:
        listed = self._add(commands, "list", "the tasks of a state", json=True)
        listed.add_argument("--state", choices=(*STATES, OTHER, "all"), default="all")
        listed.add_argument("--queue", help="only of this one")
        listed.add_argument("--task", help="only of this dotted path")
        listed.add_argument("--limit", type=int, help="so many at most")

    def _add_enqueue(self, commands: Any) -> None:
        enqueued = self._add(
            commands, "enqueue", "queue a task for the spoolers, whatever OUTSIDE_UWSGI says"
        )
        enqueued.add_argument("task", help="its dotted path")
        enqueued.add_argument(
            "--args", dest="task_args", default="[]", metavar="JSON", help="a list"
        )
        enqueued.add_argument(
            "--kwargs", dest="task_kwargs", default="{}", metavar="JSON", help="an object"
        )
        enqueued.add_argument("--queue", help="instead of the task's own")
        enqueued.add_argument("--priority", type=int, help="-100 to 100, higher first")
        enqueued.add_argument("--delay", type=float, help="seconds until it may start")

    def _add_work(self, commands: Any) -> None:
        worked = self._add(commands, "work", "serve the directories without uWSGI")
        worked.add_argument("--processes", type=int, default=1, help="per directory")
        worked.add_argument("--queues", nargs="+", help="serve only these")
        worked.add_argument("--until-empty", action="store_true", help="end when nothing is ready")
        worked.add_argument(
            "--reload", action="store_true", help="start anew when code changes, for development"
        )

    def _add_pauses(self, commands: Any) -> None:
        paused = self._add(commands, "pause", "let no further task start")
        paused.add_argument("--wait", action="store_true", help="until nothing runs any more")
        resumed = self._add(commands, "resume", "let tasks start again")
        reloaded = self._add(commands, "reload", "let spoolers finish, leave and come back")
        for parser in (paused, resumed):
            parser.add_argument("--queue", help="only this one")
        for parser in (paused, reloaded):
            parser.add_argument("--timeout", type=float, help="seconds to wait at most")

    # Looking

    def do_status(self, options: dict[str, Any]) -> None:
        """Print counts and processes of each directory."""
        queues = served_directories()
        found = [
            overview.status(spool, queues[spool.directory]) for spool in overview.site_spools()
        ]
        problems = diagnosis.problems()
        if options["json"]:
            self._print_json(
                {
                    "spoolers": [asdict(status) for status in found],
                    "problems": [asdict(problem) for problem in problems],
                }
            )
            return
        if can_show_tables(self.stdout):
            show_table(self.stdout, _STATUS_COLUMNS, map(_status_row, found))
        else:
            for status in found:
                self._print_status(status)
        self._print_problems(problems)

    def _print_problems(self, problems: list[diagnosis.Problem]) -> None:
        for problem in problems:
            self.stdout.write(f"\n{self.style.ERROR(problem.id)}: {printable(problem.message)}")
            for line in problem.hint.splitlines():
                self._say(f"    {line}")

    def _print_status(self, status: overview.Status) -> None:
        self.stdout.write(f"{status.directory} ({', '.join(status.queues)})")
        for state in STATES:
            self.stdout.write(f"  {state:<10} {getattr(status, state)}")
        if status.oldest_ready_age is not None:
            self.stdout.write(f"  oldest     {status.oldest_ready_age:.1f} s")
        if status.paused:
            self._say(f"  paused     {', '.join(status.paused)}")
        for process in status.processes:
            task = process.task or "idle"
            self._say(f"  {process.kind} {process.pid}: {task} since {process.since:%H:%M:%S} UTC")

    def do_list(self, options: dict[str, Any]) -> None:
        """Print the tasks that match."""
        found = [
            {name: value for name, value in asdict(entry).items() if name != "attempts"}
            for entry in self._matching(options)
        ]
        if options["json"]:
            self._print_json(found)
            return
        if can_show_tables(self.stdout):
            show_table(self.stdout, _LIST_COLUMNS, map(_list_row, found))
        else:
            for entry in found:
                identifier, state, _, task, _, waits = _list_row(entry)
                self._say(f"{identifier}  {state:<9}  {task or '?'}  {waits}".replace("\n", " "))
        self.stdout.write(counted(len(found), "task"))

    def _matching(self, options: dict[str, Any]) -> Iterator[overview.Entry]:
        states = STATES if options["state"] == "all" else (options["state"],)
        limit = options["limit"]
        for entry in self._entries(states):
            if options["queue"] not in (None, entry.queue) or options["task"] not in (
                None,
                entry.task,
            ):
                continue
            if limit is not None:
                if limit <= 0:
                    return
                limit -= 1
            yield entry

    def _entries(self, states: tuple[str, ...]) -> Iterator[overview.Entry]:
        for spool in overview.site_spools():
            for state in states:
                yield from overview.entries(spool, state)

    def do_show(self, options: dict[str, Any]) -> None:
        """Print everything about one task."""
        for spool in overview.site_spools():
            if entry := overview.find(spool, options["id"]):
                self._print_entry(asdict(entry), options["json"])
                return
        raise CommandError(f"No task has the id {options['id']}.")

    def _print_entry(self, entry: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self._print_json(entry)
            return
        attempts = entry.pop("attempts")
        if attempts:
            entry.pop("traceback")  # it is that of the last attempt
        for name, value in entry.items():
            self._say(f"{name:<12} {value if value is not None else '-'}")
        for attempt in attempts:
            self._say(
                f"\nattempt {attempt['attempt']}, {attempt['at']:%Y-%m-%d %H:%M:%S} UTC,"
                f" {attempt['worker']}\n{attempt['traceback'].rstrip()}"
            )

    def do_doctor(self, options: dict[str, Any]) -> None:
        """Print what is wrong, send a task through each queue, and end with 1 for any problem."""
        report = diagnosis.examine(options["timeout"])
        if options["json"]:
            self._print_json(asdict(report))
        else:
            if report.canary_ms is not None:
                self.stdout.write(
                    f"A task sent to each queue was run in {report.canary_ms:.1f} ms."
                )
            self._print_problems(report.problems)
        if report.problems:
            raise CommandError(f"{len(report.problems)} problems were found.")
        if not options["json"]:
            self.stdout.write("No problem was found.")

    # Acting on failed tasks

    def do_retry(self, options: dict[str, Any]) -> None:
        """Put failed tasks back to where they run again."""
        self._act(options, operations.retry, "put back")

    def do_discard(self, options: dict[str, Any]) -> None:
        """Delete tasks that failed or wait."""
        self._act(options, operations.discard, "discarded")

    def do_run_now(self, options: dict[str, Any]) -> None:
        """Let scheduled tasks run at once."""
        self._act(options, operations.run_now, "made ready")

    def do_prioritize(self, options: dict[str, Any]) -> None:
        """Give waiting tasks another priority."""
        act = partial(operations.prioritize, priority=options["priority"])
        self._act(options, act, f"given priority {options['priority']}")

    def _act(
        self, options: dict[str, Any], act: Callable[[Spool, TaskFile], bool], done: str
    ) -> None:
        unknown = dict.fromkeys(self._chosen(options))
        count = 0
        found = operations.find(overview.site_spools(), list(unknown))
        for identifier, spool, file in shown_progress(self.stdout, found, len(unknown)):
            if act(spool, file):
                del unknown[identifier]
                count += 1
        self.stdout.write(f"{counted(count, 'task')} {done}")
        if unknown and options["all"]:
            self.stdout.write(f"{len(unknown)} were gone by then, or run")
        elif unknown:
            raise CommandError(f"No task for this has the id {', '.join(unknown)}.")

    def _chosen(self, options: dict[str, Any]) -> list[str]:
        if options["all"] == bool(options["ids"]):
            raise CommandError("Name the ids of failed tasks, or --all.")
        if options["ids"]:
            return list(options["ids"])
        states = _DISCARDABLE if options["state"] == "all" else (options["state"],)
        return [
            identifier
            for identifier, task in chain.from_iterable(map(self._named, states))
            if options["task"] in (None, task)
        ]

    def _named(self, state: str) -> Iterator[tuple[str, str | None]]:
        """Yield id and task of each in a state; a failed one is not read for that."""
        if state == "failed":
            for spool in overview.site_spools():
                yield from ((identifier, why.task) for identifier, _, why in spool.failed())
        else:
            yield from ((entry.id, entry.task) for entry in self._entries((state,)))

    # Enqueueing and running

    def do_enqueue(self, options: dict[str, Any]) -> None:
        """Queue one call of a task."""
        task = find_task(options["task"])
        if task is None:
            raise CommandError(
                f"{options['task']} is no task. Known are: {', '.join(task_names())}"
            )
        chosen = task.using(
            queue_name=options["queue"],
            priority=options["priority"],
            run_after=self._run_after(options["delay"]),
        )
        args = self._json_value(options, "args", list)
        kwargs = self._json_value(options, "kwargs", dict)
        with leave_to_spoolers():
            result = chosen.enqueue(*args, **kwargs)
        self.stdout.write(result.id)

    def _run_after(self, delay: float | None) -> datetime | None:
        if delay is None:
            return None
        try:
            return timezone.now() + timedelta(seconds=delay)
        except (ValueError, OverflowError) as error:
            raise CommandError(
                f"--delay {delay} leads to no time: {error}. It is a number of seconds, as 3600."
            ) from error

    def _json_value(self, options: dict[str, Any], name: str, kind: type) -> Any:
        try:
            value = json.loads(options[f"task_{name}"])
        except ValueError as error:
            raise CommandError(f"--{name} is not JSON: {error}") from error
        if not isinstance(value, kind):
            raise CommandError(f"--{name} must be a JSON {'list' if kind is list else 'object'}.")
        return value

    def do_work(self, options: dict[str, Any]) -> None:
        """Serve the directories in this process and its children."""
        if options["processes"] < 1:
            raise CommandError("--processes must be 1 or more.")
        self._check_queues(*(options["queues"] or ()))
        if options["reload"]:
            sys.exit(work_and_reload(self.stdout.write))
        work(
            list(served_directories()),
            processes=options["processes"],
            queues=options["queues"],
            until_empty=options["until_empty"],
        )

    # Pausing

    def do_pause(self, options: dict[str, Any]) -> None:
        """Let no further task start."""
        self._check_queues(options["queue"])
        operations.pause(
            overview.site_spools(),
            options["queue"],
            wait=options["wait"],
            timeout=options["timeout"],
        )

    def do_resume(self, options: dict[str, Any]) -> None:
        """Let tasks start again."""
        self._check_queues(options["queue"])
        operations.resume(overview.site_spools(), options["queue"], served_directories())

    def do_reload(self, options: dict[str, Any]) -> None:
        """Let the spoolers of this host finish their task, leave and come back."""
        count = operations.reload(overview.site_spools(), timeout=options["timeout"])
        self.stdout.write(f"{counted(count, 'spooler')} came back")

    # Helpers

    def _check_queues(self, *names: str | None) -> None:
        known = queue_names()
        for name in names:
            if name is not None and known is not None and name not in known:
                there_are = ", ".join(sorted(known))
                raise CommandError(f"No queue is named {name!r}. There are: {there_are}.")


_DISCARDABLE = ("ready", "scheduled", "failed")

_STATUS_COLUMNS = ("Directory", "Queues", *map(str.capitalize, STATES), "Oldest", "Processes")


def _status_row(status: overview.Status) -> tuple[object, ...]:
    age = status.oldest_ready_age
    paused = f"\npaused: {', '.join(status.paused)}" if status.paused else ""
    return (
        status.directory,
        ", ".join(status.queues) + paused,
        *(getattr(status, state) for state in STATES),
        "" if age is None else f"{age:.1f} s",
        "\n".join(
            f"{process.kind} {process.pid}: {process.task or 'idle'}"
            f" since {process.since:%H:%M:%S} UTC"
            for process in status.processes
        ),
    )


_LIST_COLUMNS = ("Id", "State", "Queue", "Task", "Try", "Why")


def _list_row(entry: dict[str, Any]) -> tuple[Any, ...]:
    waits = entry["reason"] or entry["run_after"] or ""
    return (*(entry[name] for name in ("id", "state", "queue", "task", "attempt")), waits)
