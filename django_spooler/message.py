"""The message of a task: what ``enqueue`` says and the consumer hears.

One line of JSON, with the signature behind it where one is made::

    {"v":1,"id":"Jx0…","task":"shop.tasks.send_invoice","args":[7],"kwargs":{},"queue":"default",
     "priority":0,"backend":"default","enqueued_at":1764000000.25,"run_after":null}
    {"v":1,…}:8qGmXv…

``redact`` stands there too where the task hides arguments. ``v`` is the format's version and stands
first; the signature covers the whole line before it, so whatever decides how to read the rest is
signed. Behind the line, in the same file, the journal: one line of JSON for each attempt that failed.
Times are seconds since the epoch.

This module is pure: bytes in, bytes out.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import product
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]
from operator import attrgetter
from pathlib import PurePath
from types import NoneType
from typing import Any
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.utils.functional import Promise

from .exceptions import (
    DamagedTask,
    InvalidArguments,
    NewerTask,
    UnreadableTask,
    UntrustedTask,
)

VERSION = 1
_SALT = "django_spooler.message"
_MAX_DEPTH = 300
_PATH_MAX = 20
"""Steps of a path that are told."""

_YEAR_2 = -62_104_060_800
_YEAR_9999 = 253_370_764_800
"""What datetime knows in every time zone, in seconds since the epoch."""

_ID_MAX = 64
"""Characters of an id; ours have 32."""

_TRACEBACK_MAX = 64_000
"""Characters of a traceback the journal keeps, so that it stays one however often a task fails."""


@dataclass(slots=True, kw_only=True)  # not frozen: each field of a frozen one costs a call
class Message:
    """One call of one task."""

    id: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str
    priority: int
    backend: str
    enqueued_at: float
    run_after: float | None = None
    redact: list[int | str] | None = None
    """Positions and names of the arguments that are not shown, also where the task is not known."""
    request_id: str | None = None
    """The id of the request it was enqueued in, where the site has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that did not succeed, as the journal keeps it."""

    attempt: int
    at: float
    exception: str
    """The class's dotted path."""

    error: str
    """Its class and text in one line."""

    traceback: str
    worker: str

    def is_same(self, other: "Attempt") -> bool:
        """Tell whether both note the same end of the same try."""
        return (self.attempt, self.worker, self.error) == (other.attempt, other.worker, other.error)


def encode(message: Message, *, signed: bool) -> bytes:
    """Return the message's line, signed with SECRET_KEY if ``signed``."""
    optional: dict[str, Any] = {"redact": message.redact} if message.redact else {}
    if message.request_id is not None:
        optional["request_id"] = message.request_id
    text = _dumps(
        {
            "v": VERSION,
            "id": message.id,
            "task": message.task,
            **optional,
            "args": message.args,
            "kwargs": message.kwargs,
            "queue": message.queue,
            "priority": message.priority,
            "backend": message.backend,
            "enqueued_at": message.enqueued_at,
            "run_after": message.run_after,
        }
    )
    if signed:
        text = _signer().sign(text)
    return text.encode("ascii") + b"\n"


def decode(line: bytes, *, signed: bool) -> Message:
    """Return the message of a line.

    Raise DamagedTask, NewerTask for a later version of the format and, if ``signed``,
    UntrustedTask where the signature is missing or wrong.
    """
    try:
        text = line.rstrip(b"\n").decode("ascii")
    except UnicodeDecodeError as error:
        raise DamagedTask("the message is not ASCII JSON") from error
    if signed:
        text = _verified(text)
    elif not text.endswith("}"):
        text = text.rpartition(":")[0]
    fields = _loads(text)
    if not isinstance(fields, dict):
        raise DamagedTask("the message is not a JSON object")
    version = fields.pop("v", None)
    if type(version) is not int or version != VERSION:
        raise _unknown_version(version)
    return _checked(fields)


def _unknown_version(version: object) -> UnreadableTask:
    if isinstance(version, int) and version > VERSION:
        return NewerTask(
            f"the message has format {version}, this django-spooler reads up to {VERSION}:"
            " upgrade, then retry the task"
        )
    return DamagedTask(f"the message has no known format version: {version!r}")


def encode_attempt(attempt: Attempt) -> bytes:
    """Return the journal's line for one attempt; of a very long error or traceback, both ends."""
    fields = {
        **asdict(attempt),
        "error": shortened(attempt.error),
        "traceback": shortened(attempt.traceback),
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def shortened(text: str) -> str:
    """Return a traceback, or the two ends of one that is very long."""
    if len(text) <= _TRACEBACK_MAX:
        return text
    half = _TRACEBACK_MAX // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def decode_journal(lines: Sequence[bytes]) -> list[Attempt]:
    """Return the attempts of a journal; a line that is cut or foreign is passed over."""
    attempts = []
    for line in lines:
        try:
            attempt = Attempt(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if _is_sound(attempt):
            attempts.append(attempt)
    return attempts


def _is_sound(attempt: Attempt) -> bool:
    return (
        type(attempt.attempt) is int
        and type(attempt.at) in (int, float)
        and _YEAR_2 <= attempt.at < _YEAR_9999
        and type(attempt.exception)
        is type(attempt.error)
        is type(attempt.traceback)
        is type(attempt.worker)
        is str
    )


def normalize_arguments(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as JSON will hold them: tuples become lists, mappings dicts.

    Raise InvalidArguments that names the path of the first value JSON cannot hold as it is.
    """
    try:
        return [_plain(value) for value in args], {
            name: _plain(value) for name, value in kwargs.items()
        }
    except _NotJSON as error:
        raise InvalidArguments(
            f"Unsupported type: {task} got {_locate(args, kwargs)}: {error}."
        ) from None
    except RecursionError:
        raise InvalidArguments(f"Unsupported type: {task} got arguments {_TOO_DEEP}.") from None


_TOO_DEEP = (
    f"nested more than {_MAX_DEPTH} deep, or containing themselves. Pass a flat structure, or JSON"
    " text"
)


class _NotJSON(Exception):
    """A value that JSON cannot hold; the text is the finding and the remedy."""


def _plain(value: Any, depth: int = 0) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _without_pairs(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _short_enough(value)
    if kind is float:
        if math.isfinite(value):
            return value
        raise _NotJSON(f"{value!r} is not JSON. Pass None, or a string")
    if depth >= _MAX_DEPTH:
        raise _NotJSON(_TOO_DEEP)
    if kind is list or kind is tuple:
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(item, depth + 1) for key, item in value.items()}
    return _plain_subclass(value, depth)


def _plain_subclass(value: Any, depth: int) -> Any:
    """Take a value of a subclass (an enum, a SafeString, a named tuple) for its plain type."""
    if isinstance(value, str):
        return _without_pairs(str.__str__(value))
    if isinstance(value, int):
        return _short_enough(int(value))
    if isinstance(value, float):
        return _plain(float(value), depth)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview, range)):
        return _plain(list(value), depth)
    raise _NotJSON(f"{type(value).__name__} is not JSON. {_advice(value)}")


def _plain_key(key: Any) -> str:
    if isinstance(key, str):
        return _without_pairs(str.__str__(key))
    raise _NotJSON(f"the key {key!r} is not a string. JSON has only string keys")


def _without_pairs(text: str) -> str:
    """Return text with pairs of surrogates as the one character JSON makes of them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def _short_enough(value: int) -> int:
    # CPython refuses to turn longer integers into text (sys.set_int_max_str_digits).
    if -(1 << 14_000) < value < 1 << 14_000:
        return value
    raise _NotJSON("an int of more than 4,200 digits. Pass hex(value)")


def _advice(value: Any) -> str:
    if hasattr(value, "pk"):
        return "Pass its pk and load it in the task"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "Pass base64 text, or save the bytes and pass where they are"
    if isinstance(value, (Promise, Decimal, UUID, PurePath)) or hasattr(value, "isoformat"):
        return "Pass str(value)"
    if isinstance(value, Iterable):
        return "Pass list(value)"
    return "Pass plain strings, numbers, lists and dicts"


def _locate(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the path of the first item that is not JSON, as in ``kwargs['user'].profile``."""
    named = [(f"args[{index}]", item) for index, item in enumerate(args)]
    named += [(f"kwargs[{name!r}]", item) for name, item in kwargs.items()]
    return _path_of_unfit(named)


def _path_of_unfit(named: Sequence[tuple[str, Any]]) -> str:
    path = ""
    for _ in range(_PATH_MAX):
        step, item = next((pair for pair in named if not _fits(pair[1])), ("", None))
        path += step
        named = _children(item)
    return path


def _fits(value: Any) -> bool:
    try:
        _plain(value)
    except (_NotJSON, RecursionError):
        return False
    return True


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(_step(key), item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return []


def _step(key: Any) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _signer() -> Signer:
    return Signer(salt=_SALT)


def _verified(text: str) -> str:
    try:
        return _signer().unsign(text)
    except BadSignature as error:
        raise UntrustedTask(
            "the signature is missing or does not fit any of the site's keys (SIGNED is on)"
        ) from error


def _loads(text: str) -> Any:
    try:
        value, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise DamagedTask(f"the message is not JSON: {error}") from error
    if end != len(text):
        raise DamagedTask(f"the message is JSON up to character {end} only")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# No hook for floats: it would cost each number a call, and _nesting_problem sees them all.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
_chunks = c_make_encoder and c_make_encoder(
    None, _encoder.default, encode_basestring_ascii, None, ":", ",", False, False, False
)
"""What ``_encoder`` makes anew for each text, and takes half its time; None where there is no C."""


def _dumps(fields: dict[str, Any]) -> str:
    return "".join(_chunks(fields, 0)) if _chunks else _encoder.encode(fields)


_TYPES: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "task": (str,),
    "args": (list,),
    "kwargs": (dict,),
    "queue": (str,),
    "priority": (int,),
    "backend": (str,),
    "enqueued_at": (int, float),
    "run_after": (int, float, NoneType),
    "redact": (list, NoneType),
    "request_id": (str, NoneType),
}
_SOUND_TYPES = frozenset(product(*_TYPES.values()))
_PLACE_TYPES = frozenset({int, str})
_values_of = attrgetter(*_TYPES)


def _checked(fields: dict[str, Any]) -> Message:
    try:
        message = Message(**fields)
    except TypeError as error:
        raise DamagedTask(f"the message's fields are not ours: {error}") from error
    if tuple(map(type, _values_of(message))) not in _SOUND_TYPES or (
        message.redact and not _PLACE_TYPES.issuperset(map(type, message.redact))
    ):
        raise DamagedTask("a field of the message has a type that is not ours")
    if not (message.id.isascii() and message.id.isalnum() and len(message.id) <= _ID_MAX):
        raise DamagedTask(f"its id is not 1 to {_ID_MAX} letters and digits")
    due = message.enqueued_at if message.run_after is None else message.run_after
    if not (_YEAR_2 <= message.enqueued_at < _YEAR_9999 and _YEAR_2 <= due < _YEAR_9999):
        raise DamagedTask("a time of the message is beyond any calendar")
    if problem := _nesting_problem([*message.args, *message.kwargs.values()]):
        raise DamagedTask(problem)
    return message


_INFINITIES = (math.inf, -math.inf)
"""What the decoder makes of a number beyond any float, as ``1e999`` is."""


def _nesting_problem(values: list[Any]) -> str | None:
    """Return what is wrong with values as JSON holds them, level by level, or None."""
    for _ in range(_MAX_DEPTH + 1):
        nested: list[Any] = []
        for value in values:
            kind = type(value)
            if kind is list:
                nested += value
            elif kind is dict:
                nested += value.values()
            elif kind is float and value in _INFINITIES:
                return "a number of its arguments is beyond any float"
        if not nested:
            return None
        values = nested
    return f"its arguments are nested more than {_MAX_DEPTH} deep"
