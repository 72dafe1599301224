"""Whatever bytes a file holds: a value of ours comes out, or an UnreadableTask, and nothing else.

The examples are cases that broke the reader once, or are known to break readers.
"""

import json
import math
import os
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_spooler import message
from django_spooler.envelope import parse
from django_spooler.exceptions import UnreadableTask
from django_spooler.spool import packet
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import TaskName, order, printable
from django_spooler.spool.place import Place, claimed_name, parse_claimed_name
from django_spooler.spool.scanned import is_bell, is_guard

quick = settings(max_examples=100, deadline=None)
"""Seeds differ from run to run; ``python -m tests.torture.fuzz`` looks for longer."""

LINE = message.encode(
    message.Message(
        id="a1",
        task="shop.tasks.f",
        args=[1],
        kwargs={},
        queue="default",
        priority=0,
        backend="default",
        enqueued_at=1.5,
    ),
    signed=False,
)
FIELDS = json.loads(LINE)

texts = st.text(st.characters())  # lone surrogates too
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=30,
)
lines = st.one_of(
    st.binary().map(lambda tail: b'{"v":1' + tail),
    st.builds(
        lambda at, junk: LINE[:at] + junk + LINE[at + len(junk) :],
        st.integers(0, len(LINE)),
        st.binary(max_size=4),
    ),
    st.dictionaries(st.sampled_from(sorted(FIELDS)), values).map(
        lambda wild: json.dumps({**FIELDS, **wild}).encode() + b"\n"
    ),
)


def is_read_or_refused(content: bytes) -> None:
    for signed in (False, True):
        try:
            found, journal = parse(content, signed=signed)
        except UnreadableTask:
            continue
        assert isinstance(found, message.Message)
        assert all(isinstance(attempt, message.Attempt) for attempt in journal)
        json.dumps(found.args, allow_nan=False)


@quick
@given(st.binary())
@example(b"")
@example(b"\x11\x00\x00")
@example(b"\x11\xff\xff\x00")
@example(b"\x11\x01\x00\x00\xff")
@example(b"\x11\x02\x00\x00\xff\xff")
def test_bytes_are_read_or_refused(content):
    is_read_or_refused(content)


@quick
@given(lines)
@example(LINE)
@example(b'{"v":1,"v":2}\n')
@example(b'{"v":1e999}\n')
@example(b'{"v":-0}\n')
@example(b'{"v":' + b"9" * 4_000 + b"}\n")
@example(b'{"v":' + b"9" * 10_000_000 + b"}\n")
@example(LINE.replace(b"[1]", b"[" * 100_000 + b"]" * 100_000))
@example(LINE.replace(b"[1]", b"[" * 980 + b"]" * 980))
@example(LINE.replace(b"[1]", b'{"a":' * 400 + b"1" + b"}" * 400))
@example(LINE.replace(b"[1]", b"[1e999]"))
@example(LINE.replace(b"[1]", b"[NaN]"))
@example(LINE.replace(b"1.5", b"-62135596800"))
@example(LINE.replace(b"1.5", b"1" + b"0" * 400))
@example(LINE.replace(b"1.5", b"true"))
@example(LINE.replace(b'"a1"', b'"\\ud800"'))
@example(LINE + b'{"attempt":[],"at":1,"error":"","traceback":"","worker":""}\n')
@example(LINE + b"\n" * 3_000_000)
@example(LINE + b"[" * 100_000 + b"\n")
@example(LINE + b"\xff\xfe\n")
def test_line_is_read_or_refused(line):
    is_read_or_refused(packet.encode({}, line))
    if len(line) < 60_000:
        is_read_or_refused(packet.encode({b"message": line}))


@quick
@given(st.dictionaries(st.binary(max_size=300), st.binary(max_size=300), max_size=5), st.binary())
def test_packet_comes_back_as_it_was(variables, body):
    encoded, found = packet.split(packet.encode(variables, body))
    assert (packet.decode_variables(encoded), found) == (variables, body)


@quick
@given(st.lists(values, max_size=5), st.dictionaries(texts, values, max_size=5))
@example(["\ud83d\ude00"], {})
@example([2**14_000 - 1, -0.0, 5e-324, 1.7976931348623157e308], {"": None, "\0": ["\ud800"]})
def test_any_json_value_comes_back_as_it_was(args, kwargs):
    plain_args, plain_kwargs = message.normalize_arguments("f", args, kwargs)
    sent = message.Message(**{**_without_version(), "args": plain_args, "kwargs": plain_kwargs})
    for signed in (False, True):
        line = message.encode(sent, signed=signed)
        assert line.count(b"\n") == 1 and line.isascii()
        found = message.decode(line.rstrip(b"\n"), signed=signed)
        assert found == sent
        assert repr(found.args) == repr(sent.args)  # the sign of zero and the type of 1.0 too


def _without_version():
    return {name: value for name, value in FIELDS.items() if name != "v"}


file_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
states = st.sampled_from(
    [
        "",
        ";a=2",
        ";a=999999",
        ";a=9999999",
        ";r=5",
        ";a=1;r=7",
        ";s=1",
        ";a=2;c=3;s=1;r=4",
        ";a=٣",
        ";r=-5",
    ]
)


@quick
@given(file_names, states)
@example("", ";a=2")
@example("x;c=0", ";c=0")
@example("x", ";a=0")
@example("x", ";r=007")
@example("..", ";r=5")
@example("x;why", "")
def test_task_name_comes_back_as_it_was(base, state):
    name = TaskName.parse(f"{base}{state}" or "x")
    assert name.base
    assert TaskName.parse(str(name)) == name
    assert str(name) == (f"{base}{state}" or "x")  # what others wrote is not rewritten
    assert 0 <= name.attempts < 1_000_000
    assert all(isinstance(part, int) for part in order(str(name)))
    assert not (is_bell(base) and is_guard(base))


@quick
@given(st.text())
@example("100:..:x")
@example("100:.:x")
@example("100::x")
@example("100:a\0b:x")
@example("100:\ud800:x")
@example("0100:q:x")
def test_claimed_name_leads_nowhere_else(name):
    parsed = parse_claimed_name(name)
    if parsed is not None:
        place, original = parsed
        path = os.path.normpath(os.path.join("/spool", place.ready))
        assert os.path.dirname(os.path.dirname(path)) == "/spool/django/ready"
        assert claimed_name(place, original).endswith(name.partition(":")[2])


@quick
@given(st.text(st.characters()))
def test_any_text_can_be_printed(text):
    printable(text).encode()
    assert "\x1b" not in printable(text)


REASON = {"reason": "r", "at": 1.0, "task": None, "traceback": "", "queue": "default", "level": 100}


@pytest.mark.parametrize(
    "wild",
    [
        *({"queue": queue} for queue in ("..", ".", "", "a/b", "a\0b", "\ud800", 5, "q" * 300, [])),
        *({"level": level} for level in (-1, 201, 1.0, True, "1", [])),
        *({"at": at} for at in (math.nan, math.inf, -1e300, "1", None, True, 10**400)),
        *({"numbered": numbered} for numbered in ("..", "5/6", "", "٣", 5)),
        {"reason": 5},
        {"reason": None},
        {"task": 5},
        {"traceback": None},
        {"unknown": 1},
    ],
    ids=repr,
)
def test_reason_is_believed_only_where_it_is_sound(tmp_path, wild):
    spool = Spool(tmp_path)
    spool.prepare()
    path = spool.publish(b"content", Place("default", 100))
    identifier = spool.set_aside(path, "because", place=Place("default", 100))
    with open(spool.path("failed", identifier, ";why"), "w") as file:
        file.write(json.dumps({**REASON, **wild}))
    ((_, _, why),) = spool.failed()
    assert why.reason == "the reason could not be kept"
    assert spool.retry(identifier)
    (put_back,) = (path for path in tmp_path.iterdir() if path.is_file())
    assert put_back.read_bytes() == b"content"


def test_length_of_a_packet_is_no_reason_to_take_memory():
    for size in (0, 1, 0xFFFF):
        with pytest.raises(UnreadableTask):
            packet.split(struct.pack("<BHB", 18, size, 0) + b"x" * size)
