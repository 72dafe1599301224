"""What ``tmp`` is for: files that are not yet whole, and the last words of runners.

One is known by the form of its name, and by how it begins as far as it is written. Whatever else
stands there is none of ours.
"""

import os
import re

from ..exceptions import DamagedTask
from .files import read_file
from .names import PREFIX
from .packet import BELL, MARK, encode

UNFINISHED_BELL = "bell-"
UNFINISHED_CARD = "card-"
WORDS = "words-"

CARD_NAME = r".+-[0-9a-f]{12}"
"""The form of the names that cards have."""

_BEGINNINGS = {
    re.compile(rf"{PREFIX}.+(_\d+){{5}}"): encode(MARK),
    re.compile(rf"{UNFINISHED_BELL}\d+"): BELL,
    re.compile(UNFINISHED_CARD + CARD_NAME): b'{"name": "',
    re.compile(WORDS + CARD_NAME): b"",
}
"""The forms of names, and how each file begins."""


def is_unfinished(path: str) -> bool:
    """Tell whether a file in ``tmp`` is one of ours. Raise OSError where that is not known."""
    name = os.path.basename(path)
    return any(
        form.fullmatch(name) and begins_with(path, beginning)
        for form, beginning in _BEGINNINGS.items()
    )


def begins_with(path: str, beginning: bytes) -> bool:
    """Tell whether a file begins so, as far as it is written; what is no file does not."""
    try:
        return beginning.startswith(read_file(path, len(beginning)))
    except DamagedTask:
        return False
