"""What stands in the tree, is no task's file and none of ours either: never deleted, only moved.

Directories of tasks are not looked at here but by who lists their tasks.
"""

import os
from collections.abc import Iterator

from .counts import is_counts
from .directory import DIRECTORIES, Spool
from .files import is_directory, names_in
from .process import is_card
from .unfinished import begins_with, is_unfinished


def strays(spool: Spool) -> Iterator[str]:
    """Yield the path of each stray."""
    for directory, belongs in _BELONGS.items():
        for name in names_in(spool.path(directory)):
            try:
                if not belongs(path := spool.path(directory, name)):
                    yield path
            except OSError:  # it is just gone, or nobody can tell for now
                continue
    for name in names_in(spool.tree):
        if name not in DIRECTORIES and not is_directory(path := os.path.join(spool.tree, name)):
            yield path


def _is_mark(path: str) -> bool:
    return begins_with(path, b"") and not os.lstat(path).st_size


_BELONGS = {"tmp": is_unfinished, "processes": is_card, "paused": _is_mark, "counts": is_counts}
"""What tells whether a file is one of those that a directory is for."""
