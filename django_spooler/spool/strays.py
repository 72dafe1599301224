"""What stands in the tree, is no task's file and none of ours either: never deleted, only moved.

Directories of tasks are not looked at here but by who lists their tasks.
"""

import os
from collections.abc import Iterator

from ..exceptions import DamagedTask
from .directory import STATES, Spool
from .files import is_directory, names_in, read_file
from .process import is_card
from .unfinished import is_unfinished


def strays(spool: Spool) -> Iterator[str]:
    """Yield the path of each stray."""
    for state, belongs in (("tmp", is_unfinished), ("processes", is_card), ("paused", _is_mark)):
        for name in names_in(spool.path(state)):
            try:
                if not belongs(path := spool.path(state, name)):
                    yield path
            except OSError:  # it is just gone, or nobody can tell for now
                continue
    for name in names_in(spool.tree):
        if name not in STATES and not is_directory(path := os.path.join(spool.tree, name)):
            yield path


def _is_mark(path: str) -> bool:
    try:
        return not read_file(path, 1)
    except DamagedTask:
        return False
