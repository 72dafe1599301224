"""``DJANGO_CRON_LOCK_BACKEND = "django_spooler.cron.DatabaseLeaseLock"``.

It can be imported before the apps are ready, as a site's ``crons`` modules are.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string
from django_cron.backends.lock.base import DjangoCronJobLock
from django_cron.core import DEFAULT_LOCK_BACKEND

if TYPE_CHECKING:
    from ..models import CronRun
    from .heartbeat import Heartbeat
    from .lease import Lease


PATH = "django_spooler.cron.DatabaseLeaseLock"
"""What DJANGO_CRON_LOCK_BACKEND has to be."""


class DatabaseLeaseLock(DjangoCronJobLock):  # type: ignore[misc]
    """A lock of django-cron that a dead node gives back: a lease in the site's database.

    Where a site has chosen it, ``runcrons`` claims each due time of a job under it, so that it runs
    once over all nodes. Used by itself it lets one holder in at a time, and each holder's time stands
    in the history as a run.
    """

    def __init__(self, cron_class: type, silent: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(cron_class, silent, *args, **kwargs)
        self._class = cron_class
        self._lease: Lease | None = None
        self._heartbeat: Heartbeat | None = None
        self._holder: CronRun | None = None

    def lock(self) -> bool:
        """Take the lease; False where another holds it. Raise django.db.Error for no database."""
        from .class_claims import claim
        from .classes import ClassJob
        from .decision import lease_of
        from .heartbeat import Heartbeat
        from .lease import Lease

        job = ClassJob(self._class)
        verdict = claim(job, force=True)
        self._holder = verdict.holder
        if verdict.run is None:
            return False
        self._lease = Lease(verdict.run, lease_of(job))
        self._heartbeat = Heartbeat(self._lease)
        self._heartbeat.start()
        return True

    def release(self, error: BaseException | None = None) -> None:
        """Give the lease back; raise LeaseLost where it was over, and another took it."""
        from .lease import Outcome, persistently

        lease = self._lease
        if lease is None or self._heartbeat is None:
            return
        self._heartbeat.stop()
        self._lease = None
        outcome = Outcome.SUCCESS if error is None else Outcome.FAILED
        persistently(lambda: lease.settle(outcome, repr(error) if error else ""), self.job_name)

    def lock_failed_message(self) -> str:
        """Say who has the lease."""
        return refusal(self.job_name, self._holder)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lease back, and write down whether the block failed."""
        self.release(error)


def is_chosen() -> bool:
    """Tell whether the site has chosen this lock, or one made from it."""
    return problem() is None and issubclass(_chosen(), DatabaseLeaseLock)


def problem() -> str | None:
    """Return why the lock that the site has chosen cannot be used, or None."""
    try:
        chosen = _chosen()
    except ImportError as error:
        return f"DJANGO_CRON_LOCK_BACKEND cannot be imported: {error}."
    if isinstance(chosen, type) and issubclass(chosen, DjangoCronJobLock):
        return None
    return f"DJANGO_CRON_LOCK_BACKEND is {chosen!r}, which is no lock of django-cron."


def _chosen() -> Any:
    return import_string(getattr(settings, "DJANGO_CRON_LOCK_BACKEND", DEFAULT_LOCK_BACKEND))


def refusal(job: str, holder: "CronRun | None") -> str:
    """Return why a job does not run now; ``holder`` is the run that is in the way."""
    by = "" if holder is None else f" {holder.node} runs it since {holder.start}."
    return f"{job}: lock found.{by} Will try later."
