"""Nodes of one site that run its periodic jobs without uWSGI, as processes of this machine."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .server import DEADLINE, Site

APPS = ["shop", "mail", "rough", "clockwork", "django_cron", "django_spooler"]


class Node:
    """One process that makes pass after pass."""

    def __init__(
        self, site: Site, name: str, command: str = "loopcrons", **environment: str
    ) -> None:
        self.name = name
        self._site = site
        self._log_path = site.directory / f"node-{name}.log"
        self._log = self._log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", command],
            cwd=site.directory,
            env={**site.environment, "NODE": name, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log_path.read_text(errors="replace")

    def signal(self, signum: int) -> None:
        """Send it a signal."""
        self.process.send_signal(signum)

    def wait_until_up(self) -> None:
        """Return once it has made a pass."""
        self._site.wait_for("pass", node=self.name)

    def stop(self) -> None:
        """Let it end its pass and go; it must go in good order."""
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0, self.log

    def end(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE)
        self._log.close()


@contextlib.contextmanager
def nodes(site: Site, count: int, **how: str) -> Iterator[list[Node]]:
    """Run so many nodes beside the block; ``how`` is as for ``Node``."""
    with contextlib.ExitStack() as stack:
        yield [start(stack, site, str(number), **how) for number in range(count)]


def start(stack: contextlib.ExitStack, site: Site, name: str, **how: str) -> Node:
    """Start a node that ends with the stack."""
    node = Node(site, name, **how)
    stack.callback(node.end)
    return node


def history(site: Site, job: str) -> list[dict[str, Any]]:
    """Return the runs of a job as ``crons history`` prints them, the oldest first; slots as numbers."""
    printed = site.manage("crons", "history", job, "--json")
    found = json.loads(next(line for line in printed.splitlines() if line.startswith("[")))
    for run in found:
        run["slot"] = datetime.fromisoformat(run["slot"]).timestamp()
    return found[::-1]


def log_of(site: Site, job: str) -> list[dict[str, Any]]:
    """Return django-cron's rows of a job, the oldest first."""
    printed = site.manage("dumpdata", "django_cron.CronJobLog")
    rows = json.loads(next(line for line in printed.splitlines() if line.startswith("[")))
    found = [row["fields"] for row in rows if row["fields"]["code"] == job]
    return sorted(found, key=lambda row: row["start_time"])


def assert_each_slot_once(site: Site, job: str, every: float, at_least: int) -> list[float]:
    """Check that the job began once for each slot, with none left out; return the slots."""
    slots = sorted(event["slot"] for event in site.events("began", job=job))
    assert len(slots) >= at_least, slots
    assert slots == [slots[0] + every * number for number in range(len(slots))]
    return slots


def environment_of_clock(library: os.PathLike[str], offset: os.PathLike[str]) -> dict[str, str]:
    """Return what sets a node's clock by the seconds that a file says, see ``preload``."""
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
