"""What the commands of this package have in common."""

from argparse import SUPPRESS, ArgumentParser
from datetime import datetime
from typing import Any


def base_options() -> ArgumentParser:
    """Return the options of every management command, to be taken behind a sub-command too."""
    parser = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", help=SUPPRESS)
    return parser


def as_json(value: Any) -> str:
    """Return a time as JSON has it, for ``json.dumps(default=)``."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")
