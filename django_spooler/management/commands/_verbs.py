"""What the commands of this package have in common."""

import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations

from ...exceptions import SpoolerError
from ...spool.names import printable


class CommandOfVerbs(BaseCommand):
    """A command whose sub-commands each set ``run``; it works where system checks fail.

    It speaks English: its own words do, and a terminal or pipe need not take those of another language.
    """

    requires_system_checks: list[str] = []

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Run the sub-command; an error of ours ends with its message and status 1."""
        run: Callable[..., None] = options["run"]
        try:
            run(options)
        except SpoolerError as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        """Print what files, the code or the history tell; anyone may have written them."""
        self.stdout.write(printable(text))

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, default=as_json))


def base_options() -> ArgumentParser:
    """Return the options of every management command, to be taken behind a sub-command too."""
    parser = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", help=SUPPRESS)
    return parser


def counted(number: int, noun: str) -> str:
    """Return "1 task", "2 tasks" and the like."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_json(value: Any) -> str:
    """Return a time as JSON has it, for ``json.dumps(default=)``."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")
