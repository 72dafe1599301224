"""A task's file as a whole: the packet around the message and the journal behind it."""

from .exceptions import DamagedTask
from .message import Attempt, Message, decode, decode_journal
from .spool.directory import read_file
from .spool.packet import decode_variables, split

_START = b'{"v"'


def read(path: str, *, signed: bool) -> tuple[Message, list[Attempt]]:
    """Return the message and the journal of a task's file.

    Raise UnreadableTask for what is none, OSError where the file cannot be read for now.
    """
    return parse(read_file(path), signed=signed)


def parse(content: bytes, *, signed: bool) -> tuple[Message, list[Attempt]]:
    """Return the message and the journal of a file's content. Raise UnreadableTask."""
    variables, body = split(content)
    line, newline, journal = body.partition(b"\n")
    if not body.startswith(_START):
        # A packet from a socket has no body: its message is one of the variables.
        line, newline, _ = decode_variables(variables).get(b"message", b"").partition(b"\n")
        journal = body
    if not line:
        raise DamagedTask("it has no message of ours")
    if not newline:
        raise DamagedTask("the message is cut short")
    return decode(line, signed=signed), decode_journal(journal.splitlines())
