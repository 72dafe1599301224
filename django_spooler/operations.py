"""What an operator does to the processes of a spool: pause, resume, reload."""

import os
import signal
import socket
import time
from collections.abc import Callable

from .exceptions import SpoolerError
from .spool.directory import Spool
from .spool.files import names_if_open, names_in
from .spool.process import SUPERVISOR, Card, cards

_LOOK_PAUSE = 0.1
"""Seconds between two looks at what is waited for; there is no event across processes."""


def pause(spools: list[Spool], queue: str | None, *, wait: bool, timeout: float | None) -> None:
    """Let no task start, of one queue or of all; with ``wait``, return once none runs.

    ``timeout`` is in seconds. Raise SpoolerError where tasks still run then; the pause stays.
    """
    for spool in spools:
        spool.pause(queue)
    if wait:
        # Twice: a runner may be between its last look at the marks and its claim.
        for _ in range(2):
            _wait_until(
                lambda: not any(_is_running(spool, queue) for spool in spools),
                timeout,
                "Tasks still run. The pause stays: call again to wait on, or resume.",
            )
            time.sleep(_LOOK_PAUSE)


def resume(spools: list[Spool], queue: str | None) -> None:
    """Let tasks start again."""
    for spool in spools:
        spool.resume(queue)


def reload(spools: list[Spool], *, timeout: float | None) -> int:
    """Let the supervisors on this host finish, leave and come back; return how many did.

    Each gets SIGHUP; its server starts it again. ``timeout`` is in seconds. Raise SpoolerError
    where one may not be signalled, or is not back in time.
    """
    before = [(spool, card) for spool in spools for card in _supervisors(spool)]
    for _, card in before:
        _hang_up(card)
    old = {card.name for _, card in before}
    _wait_until(
        lambda: all(
            len(_supervisors(spool, except_for=old))
            >= sum(1 for other, _ in before if other is spool)
            and not {card.name for card in _supervisors(spool)} & old
            for spool in spools
        ),
        timeout,
        "Not all spoolers are back yet. See: python manage.py spooler status",
    )
    return len(before)


def _is_running(spool: Spool, queue: str | None) -> bool:
    mark = None if queue is None else f":{queue}:"
    return any(
        mark is None or mark in claimed
        for process in names_in(spool.path("running"))
        for claimed in names_if_open(spool.path("running", process))
    )


def _supervisors(spool: Spool, except_for: set[str] = frozenset()) -> list[Card]:  # type: ignore[assignment]
    return [
        card
        for card, alive in cards(spool)
        if alive
        and card.role == SUPERVISOR
        and card.kind == "uwsgi"
        and card.host == socket.gethostname()
        and card.name not in except_for
    ]


def _hang_up(card: Card) -> None:
    try:
        os.kill(card.pid, signal.SIGHUP)
    except PermissionError as error:
        raise SpoolerError(
            f"Spooler process {card.pid} belongs to another user. Run this as the site's user."
        ) from error
    except ProcessLookupError:
        pass


def _wait_until(condition: Callable[[], bool], timeout: float | None, complaint: str) -> None:
    until = None if timeout is None else time.monotonic() + timeout
    while not condition():
        if until is not None and time.monotonic() >= until:
            raise SpoolerError(complaint)
        time.sleep(_LOOK_PAUSE)
