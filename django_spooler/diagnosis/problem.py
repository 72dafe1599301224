"""What is found wrong, as every skin shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    id: str
    """The same in every version, as the reference lists it: "no-spooler", or a system check's."""

    message: str
    """What is wrong, and how it was seen."""

    hint: str
    """What to do; where that is a line of configuration or a command, the line to paste."""
