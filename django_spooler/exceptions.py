"""Everything this package raises.

::

    SpoolerError
    ├── InvalidSpoolerTask      a function cannot be a task, or not with these options
    ├── InvalidArguments        enqueue() got arguments the task or JSON cannot take
    ├── InvalidOptions          the settings are wrong
    ├── EnqueueError            a good task could not be accepted
    │   ├── ManualTransaction   nobody would tell when its transaction is committed
    │   ├── NoSpooler           nothing is set up that would ever run it
    │   └── SpoolUnavailable    the spool directory refused the file
    ├── UnreadableTask          a spool file this version cannot run
    │   ├── DamagedTask         not a whole, well-formed task
    │   ├── NewerTask           written by a newer version of this package
    │   ├── UntrustedTask       its signature is missing or wrong
    │   └── UnknownTask         names a task this site does not have
    ├── TaskRefused             a spooler_raw task answered SPOOL_IGNORE
    ├── TaskTimeout             raised inside a task that runs for too long
    ├── TaskKilled              the process that ran a task died
    ├── InvalidCronJob          a function cannot be a periodic job, or not with these options
    ├── UnknownCronJob          the site has no periodic job of that name
    ├── LeaseLost               a periodic job's run was taken over by another node
    ├── Retry                   raised by a task that asks for another try
    └── StopSpooling            raised by a spooler_forever task that is done
"""

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

from .compat import InvalidTask

_CENTURY = 100 * 366 * 86400


class SpoolerError(Exception):
    """Base class of every exception of django-spooler."""


class InvalidSpoolerTask(SpoolerError, InvalidTask):
    """A function cannot be a task, or not with the options given."""


class InvalidArguments(SpoolerError, TypeError):
    """The arguments do not fit the task's signature, or JSON cannot hold them."""


class InvalidOptions(SpoolerError, ImproperlyConfigured):
    """An entry of ``TASKS[...]["OPTIONS"]`` is unknown or has a wrong value."""


class EnqueueError(SpoolerError):
    """A valid task could not be accepted; nothing of it was kept."""

    accepted = 0
    """Tasks that were, of those handed over together, before the one that could not be."""


class ManualTransaction(EnqueueError):
    """A task that is to wait for the commit of a transaction which is ended by hand."""


class NoSpooler(EnqueueError):
    """No spooler is set up that would ever run the task."""


class SpoolUnavailable(EnqueueError):
    """The spool directory did not take the file: full, read-only, gone, or not ours."""


class UnreadableTask(SpoolerError):
    """A spool file that this version and set-up cannot run."""


class DamagedTask(UnreadableTask):
    """The file is not a whole, well-formed task."""


class NewerTask(UnreadableTask):
    """The file was written by a newer version of this package."""


class UntrustedTask(UnreadableTask):
    """The message stands where no producer put it, or lacks the signature ``SIGNED`` asks for."""


class UnknownTask(UnreadableTask):
    """The message names a task that is not registered in this site."""


class TaskRefused(SpoolerError):
    """A ``spooler_raw`` task answered SPOOL_IGNORE: it stands in ``failed``, and is not retried."""


class TaskTimeout(SpoolerError):
    """Raised inside a task when its ``timeout`` is over."""


class TaskKilled(SpoolerError):
    """The process that ran the task died while it did."""


class InvalidCronJob(SpoolerError):
    """A function cannot be a periodic job, or not with these options."""


class UnknownCronJob(SpoolerError):
    """The site has no periodic job of this name."""


class LeaseLost(SpoolerError):
    """A run of a periodic job was not heard of for its lease, and another node took it over."""


class Retry(SpoolerError):
    """Raised by a task that wants another try.

    ``after`` is the pause, in seconds or as a timedelta; None takes the task's own backoff. A try
    asked for counts as an attempt, so a task that only ever retries ends in ``failed`` after
    ``max_attempts``. Raise ValueError for a pause that is none.
    """

    def __init__(
        self,
        message: str = "the task asked for another try",
        *,
        after: float | timedelta | None = None,
    ):
        super().__init__(message)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        seconds = None if seconds is None else float(seconds)
        if seconds is not None and not 0 <= seconds <= _CENTURY:
            raise ValueError(
                f"Retry(after={after!r}): the pause is in seconds, or a timedelta, and lies between"
                " zero and a hundred years."
            )
        self.after = seconds


class StopSpooling(SpoolerError):
    """Raised by a ``spooler_forever`` task to end its own repetition, as a success."""
