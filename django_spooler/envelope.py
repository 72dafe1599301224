"""A task's file as a whole: the packet around the message and the journal behind it."""

from .exceptions import DamagedTask
from .message import Attempt, Message, decode, decode_journal
from .spool.files import read_file
from .spool.packet import HEADER_SIZE, MAX_SIZE, decode_variables, split

_START = b'{"v"'
_HEAD = HEADER_SIZE + MAX_SIZE + (1 << 16)
"""Bytes that tell whether the rest is worth reading: all variables, and the message's start."""

_JOURNAL_MAX = 1 << 20
"""Bytes of the journal that are read, from its end: an attempt's line is far shorter."""


def read(path: str, *, signed: bool) -> tuple[Message, list[Attempt]]:
    """Return the message and the journal of a task's file.

    Raise UnreadableTask for what is none, OSError where the file cannot be read for now.
    """
    content = read_file(path, _HEAD)
    if len(content) == _HEAD:
        _find_message(content)
        content = read_file(path)
    return parse(content, signed=signed)


def parse(content: bytes, *, signed: bool) -> tuple[Message, list[Attempt]]:
    """Return the message and the journal of a file's content. Raise UnreadableTask."""
    text, journal_at = _find_message(content)
    line, newline, _ = text.partition(b"\n")
    if not newline:
        raise DamagedTask("the message is cut short")
    if journal_at is None:
        journal_at = len(content) - len(text) + len(line) + 1
    journal = content[max(journal_at, len(content) - _JOURNAL_MAX) :]
    attempts = decode_journal(journal.splitlines()) if journal else []
    return decode(line, signed=signed), attempts


def _find_message(content: bytes) -> tuple[bytes, int | None]:
    """Return what begins with the message, and where the journal begins if that is known already.

    Raise DamagedTask where there is none.
    """
    variables, body = split(content)
    if b"\0" in body[:_HEAD]:
        raise DamagedTask("zero bytes stand where a message is text")
    if body.startswith(_START):
        return body, None
    # A packet from a socket has no body: its message is one of the variables.
    message = decode_variables(variables).get(b"message", b"")
    if not message.startswith(_START):
        raise DamagedTask("it has no message of ours")
    return message, len(content) - len(body)
