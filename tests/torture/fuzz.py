"""Fuzz the reader with coverage as the guide: ``python -m tests.torture.fuzz [SECONDS]``.

It needs atheris (``pip install atheris``), which knows CPython 3.11 to 3.13. It begins with
``tests/corpus``, and keeps inputs between runs in ``.cache/fuzz``. One that breaks a promise ends the
run and is written there too, as ``crash-*``; it belongs into ``tests/corpus``, made as small as it gets.
"""

import os
import sys
from pathlib import Path

import atheris
from django.conf import settings

settings.configure(SECRET_KEY="for tests only", USE_TZ=True)

with atheris.instrument_imports(include=["django_spooler", "json"]):
    import json

    from django_spooler import message
    from django_spooler.envelope import parse
    from django_spooler.exceptions import UnreadableTask
    from django_spooler.spool.names import TaskName, order, printable
    from django_spooler.spool.packet import encode
    from django_spooler.spool.place import parse_claimed_name

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / ".cache" / "fuzz"
LINE = (
    b'{"v":1,"id":"a1","task":"shop.tasks.f","args":[1,"x"],"kwargs":{"a":{"b":null}},'
    b'"queue":"default","priority":0,"backend":"default","enqueued_at":1.5,"run_after":null}\n'
)
JOURNAL = message.encode_attempt(
    message.Attempt(attempt=1, at=1.5, exception="E", error="e", traceback="t", worker="w")
)
SEEDS = [
    encode({}, LINE),
    encode({b"django_spooler": b"1"}, LINE + JOURNAL),
    encode({b"message": LINE}),
    encode({b"ud_spool_func": b"f", b"args": b"\x80\x04N."}),
    b"100:default:uwsgi_spoolfile_on_web1_4711_12_1804289383_1764000000_123456;a=2;r=17",
]


def try_one(data: bytes) -> None:
    """Give one input to everything that reads what others wrote."""
    for signed in (False, True):
        try:
            found, _ = parse(data, signed=signed)
        except UnreadableTask:
            continue
        again = message.decode(message.encode(found, signed=signed).strip(), signed=signed)
        assert again == found
        json.dumps([found.args, found.kwargs], allow_nan=False)
    text = os.fsdecode(data[:255].replace(b"\0", b"").replace(b"/", b""))
    if text:
        name = TaskName.parse(text)
        assert TaskName.parse(str(name)) == name
        order(text)
        printable(text).encode()
        if parsed := parse_claimed_name(text):
            assert ".." not in os.path.join("/spool", parsed[0].ready).split("/")


def main() -> None:
    """Fuzz for the given seconds, ten minutes by default."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (CORPUS / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=1024"]
    options += [f"-artifact_prefix={CORPUS}/", str(CORPUS), str(HERE.parent / "corpus")]
    atheris.Setup([sys.argv[0], *options], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
