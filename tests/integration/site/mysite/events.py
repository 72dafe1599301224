"""What the site's code tells the tests: one line of JSON for each thing that happened."""

import json
import os
import time
from typing import Any

from django.conf import settings


def record(event: str, **facts: Any) -> None:
    """Append an event; one write, so lines of several processes never mix."""
    line = {"event": event, "pid": os.getpid(), "parent": os.getppid(), "at": time.time(), **facts}
    descriptor = os.open(settings.BASE_DIR / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def recorded(event: str) -> list[dict[str, Any]]:
    """Return the events of this name, oldest first."""
    try:
        lines = (settings.BASE_DIR / "events").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line for line in map(json.loads, lines) if line["event"] == event]


def wait_at(gate: str) -> None:
    """Return once the test has opened the gate, which is a FIFO."""
    os.close(os.open(settings.BASE_DIR / "gates" / gate, os.O_RDONLY))
