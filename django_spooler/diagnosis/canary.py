"""Whether a task that is sent is run."""

from ..canary import canary_task, send
from ..exceptions import SpoolerError
from ..overview import processes
from ..spool.directory import ALL_QUEUES, Spool
from ..spool.names import printable
from .problem import Problem

_REMEDIES = {
    "UntrustedTask": (
        "untrusted",
        "Give this process and uWSGI the same SECRET_KEY and the same SIGNED, and restart uWSGI.",
    ),
    "UnknownTask": ("versions", "Reload uWSGI, so that it loads what is installed now."),
    "NewerTask": ("versions", "Reload uWSGI, so that it loads what is installed now."),
}


def problems(spool: Spool, queue: str, seconds: float) -> tuple[list[Problem], float | None]:
    """Send a task to a queue; return what is wrong, and the milliseconds it took if it was run.

    A paused queue is sent nothing.
    """
    task = canary_task()
    if task is None or {queue, ALL_QUEUES} & spool.paused():
        return [], None
    try:
        sent = send(task, spool, queue, seconds)
    except (SpoolerError, OSError) as error:
        return [Problem("refused", f"A task was refused. {error}", "See the message.")], None
    if sent.milliseconds is not None:
        return [], sent.milliseconds
    if sent.reason is not None:
        return [_failed(spool, queue, sent.reason)], None
    return [_not_taken(spool, queue, seconds)], None


def _failed(spool: Spool, queue: str, reason: str) -> Problem:
    identifier, hint = _REMEDIES.get(
        reason.partition(":")[0], ("canary-failed", "uWSGI's log says more.")
    )
    return Problem(
        identifier,
        f"A task sent to queue {queue!r} of {spool.directory} failed: {printable(reason)}.",
        hint,
    )


def _not_taken(spool: Spool, queue: str, seconds: float) -> Problem:
    what = "; ".join(
        f"{process.kind} {process.pid} {_runs(process.task)} since {process.since:%H:%M:%S} UTC"
        for process in processes(spool)
    )
    return Problem(
        "stuck",
        f"A task sent to queue {queue!r} of {spool.directory} was not run within {seconds:g} s,"
        f" though it was the first in line: {what or 'no process is left'}.",
        "More at a time: spooler-processes = 4. A task that never ends needs a timeout. A process"
        " that is idle may serve other queues only (spooler work --queues), or hang.",
    )


def _runs(task: str | None) -> str:
    return f"runs {printable(task)}" if task else "is idle"
