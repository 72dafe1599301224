"""What a person at a terminal sees and a pipe does not: tables, and how far a long work has got.

Tables are made by ``rich`` (``django-spooler[rich]``); without it a terminal gets the plain lines too.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.core.management.base import OutputWrapper

from ...spool.names import printable

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError:
    Console = None  # type: ignore[assignment, misc]

T = TypeVar("T")

_PAUSE = 0.1
"""Seconds between two looks a person gets at how far the work has got."""


def can_show_tables(stream: OutputWrapper) -> bool:
    """Tell whether ``stream`` is a terminal, and what draws tables is there."""
    return Console is not None and stream.isatty()


def show_table(
    stream: OutputWrapper, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Draw a table; numbers stand at the right, and the first column is broken last.

    What files tell is shown as text and nothing else.
    """
    table = Table(header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=number == 0, min_width=len(name))
    for row in rows:
        for column, value in zip(table.columns, row, strict=True):
            if isinstance(value, (int, float)):
                column.justify = "right"
        table.add_row(*(Text("" if value is None else printable(str(value))) for value in row))
    Console(file=stream._out).print(table)  # type: ignore[arg-type]


def shown_progress(stream: OutputWrapper, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items, and tell on a terminal how many of ``total`` are through."""
    if not stream.isatty():
        yield from items
        return
    look_at = time.monotonic() + _PAUSE
    shown = False
    for number, item in enumerate(items):
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + _PAUSE
            shown = True
            stream.write(f"\r{number:,} of {total:,}", ending="")
            stream.flush()
        yield item
    if shown:
        stream.write(f"\r{' ' * len(f'{total:,} of {total:,}')}\r", ending="")
