"""The file format of uWSGI's spooler: a uwsgi packet and, after it, a body.

::

    byte 0      modifier1, 17 for the spooler
    bytes 1-2   size of the variables, little-endian
    byte 3      modifier2, 0
    then        variables: length (2 bytes, little-endian), key, length, value, ...
    then        body, to the end of the file

So the variables hold 64 KiB at most and the body any size. Source: ``uwsgi_spool_request`` in
uWSGI's ``core/spooler.c``.
"""

import struct
from collections.abc import Mapping

from ..exceptions import DamagedTask

NAME = b"django_spooler"
"""The variable that tells our packets from other libraries'."""

MARK = {NAME: b"1"}
"""That variable, as the packet of a task has it."""

MODIFIER_SPOOLER = 17
MAX_SIZE = 0xFFFF

_HEADER = struct.Struct("<BHB")
HEADER_SIZE = _HEADER.size
_LENGTH = struct.Struct("<H")


def encode(variables: Mapping[bytes, bytes], body: bytes = b"") -> bytes:
    """Return the file content. Raise ValueError where the variables exceed 64 KiB."""
    parts = [_LENGTH.pack(len(text)) + text for pair in variables.items() for text in pair]
    size = sum(map(len, parts))
    if size > MAX_SIZE:
        raise ValueError(f"{size} bytes of variables; a uwsgi packet carries {MAX_SIZE}")
    return _HEADER.pack(MODIFIER_SPOOLER, size, 0) + b"".join(parts) + body


BELL = encode({NAME: b"bell"})
"""The whole content of a bell."""


def split(content: bytes) -> tuple[bytes, bytes]:
    """Return the still encoded variables and the body. Raise DamagedTask for anything else."""
    if len(content) < _HEADER.size:
        raise DamagedTask(f"{len(content)} bytes are no uwsgi packet: the header is cut short")
    modifier1, size, _ = _HEADER.unpack_from(content)
    if modifier1 != MODIFIER_SPOOLER:
        raise DamagedTask(f"modifier1 is {modifier1}, a spooler's packet has {MODIFIER_SPOOLER}")
    end = _HEADER.size + size
    if len(content) < end:
        raise DamagedTask(f"the header tells {size} bytes of variables, {len(content) - 4} follow")
    return content[_HEADER.size : end], content[end:]


def decode_variables(encoded: bytes) -> dict[bytes, bytes]:
    """Return the variables of a packet. Raise DamagedTask where a length points past the end."""
    texts, position = [], 0
    while position < len(encoded):
        start = position + _LENGTH.size
        if start > len(encoded):
            raise DamagedTask("a variable's length is cut short")
        (length,) = _LENGTH.unpack_from(encoded, position)
        position = start + length
        if position > len(encoded):
            raise DamagedTask(f"a variable of {length} bytes does not fit into the packet")
        texts.append(encoded[start:position])
    if len(texts) % 2:
        raise DamagedTask("the last variable has a key and no value")
    return dict(zip(texts[::2], texts[1::2], strict=True))
