"""Whether a task that is sent is run."""

from django.utils.translation import gettext as _

from ..canary import canary_task, send
from ..exceptions import SpoolerError
from ..overview import Process, processes
from ..spool.directory import ALL_QUEUES, Spool
from ..spool.names import printable
from .problem import Problem


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
        message = _("A task was refused. %(error)s") % {"error": error}
        return [Problem("refused", message, _("See the message."))], None
    if sent.milliseconds is not None:
        return [], sent.milliseconds
    if sent.reason is not None:
        return [_failed(spool, queue, sent.reason)], None
    return [_not_taken(spool, queue, seconds)], None


def _failed(spool: Spool, queue: str, reason: str) -> Problem:
    message = _("A task sent to queue %(queue)r of %(directory)s failed: %(reason)s.") % {
        "queue": queue,
        "directory": spool.directory,
        "reason": printable(reason),
    }
    match reason.partition(":")[0]:
        case "UntrustedTask":
            hint = _(
                "Give this process and uWSGI the same SECRET_KEY and the same SIGNED, and restart"
                " uWSGI."
            )
            return Problem("untrusted", message, hint)
        case "UnknownTask" | "NewerTask":
            hint = _("Reload uWSGI, so that it loads what is installed now.")
            return Problem("versions", message, hint)
        case _:
            return Problem("canary-failed", message, _("uWSGI's log says more."))


def _not_taken(spool: Spool, queue: str, seconds: float) -> Problem:
    left = "; ".join(map(_doing, processes(spool)))
    return Problem(
        "stuck",
        _(
            "A task sent to queue %(queue)r of %(directory)s was not run within %(seconds)g s,"
            " though it was the first in line: %(processes)s."
        )
        % {
            "queue": queue,
            "directory": spool.directory,
            "seconds": seconds,
            "processes": left or _("no process is left"),
        },
        _(
            "More at a time: spooler-processes = 4. A task that never ends needs a timeout. A"
            " process that is idle may serve other queues only (spooler work --queues), or hang."
        ),
    )


def _doing(process: Process) -> str:
    facts = {"kind": process.kind, "pid": process.pid, "time": f"{process.since:%H:%M:%S}"}
    if process.task:
        facts["task"] = printable(process.task)
        return _("%(kind)s %(pid)s runs %(task)s since %(time)s UTC") % facts
    return _("%(kind)s %(pid)s is idle since %(time)s UTC") % facts
