"""django-cron's manager of a run, for sites that have chosen ``DatabaseLeaseLock``.

django-cron locks, decides by this node's clock and its log, runs, and writes the log. Where the site
has our lock, a manager is made that claims the due time instead and runs under a lease. The rest
stays django-cron's: its ``runcrons`` and ``cronloop``, its output, its options.
"""

import logging
import time
from traceback import format_exception
from types import TracebackType
from typing import Any

from django_cron.core import BadCronJobError, CronJobManager

from ..exceptions import LeaseLost
from ..logs import in_words
from ..models import CronRun
from . import announce, class_claims, cron_log
from .classes import ClassJob, problem
from .clock import now
from .decision import lease_of
from .heartbeat import Heartbeat
from .lease import ERROR_LENGTH, Lease, Outcome, database, patiently, persistently, runs
from .lock import refusal
from .runner import Report
from .transactions import brief_transaction

logger = logging.getLogger("django_spooler")


class LeasedManager(CronJobManager):  # type: ignore[misc]
    """Runs a class for a due time that it has claimed; django-cron makes it, see ``hook``."""

    claimed: CronRun | None = None
    """The run to be run by this process; claimed by ``run`` if it was not before."""
    error: BaseException | None = None
    """Why it failed, or could not start."""

    def run(self, force: bool = False) -> None:
        """Run the job if its due time is ours, and keep django-cron's log of it.

        Raise what the job raised, LeaseLost where another node has taken the run over, and what
        django-cron raises: LockFailedException while another node is at it, BadCronJobError for a
        class that cannot run.
        """
        if finding := problem(self.cron_job_class):
            raise BadCronJobError(f"{self.cron_job_class!r}: {finding}")
        job = ClassJob(self.cron_job_class)
        due = True
        if self.claimed is None:
            verdict = class_claims.claim(job, force=force, dry_run=self.dry_run)
            if verdict.holder is not None:
                raise self.lock_class.LockFailedException(refusal(job.path, verdict.holder))
            due, self.claimed = verdict.due, verdict.run
        if self.claimed is not None:
            self._perform(job, self.claimed)
        self._say(due)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Say what went wrong; only a Ctrl-C goes on from here."""
        if isinstance(error, (BadCronJobError, self.lock_class.LockFailedException)):
            self.error = error if isinstance(error, BadCronJobError) else None
            return bool(super().__exit__(kind, error, traceback))
        if error is not None:
            self.error = error
            self._say(True)
            if self.cron_log.code == "":
                logger.error("%r was not started: %s", self.cron_job_class.code, error)
        return not isinstance(error, KeyboardInterrupt)

    def _perform(self, job: ClassJob, run: CronRun) -> None:
        lease = Lease(run, lease_of(job))
        began = time.monotonic()
        with Heartbeat(lease):
            error = self._do(job, lease)
        rest = job.schedule.rest_after(failed=error is not None) - (time.monotonic() - began)
        # After a success nobody has to come before the next due time, unless that is over.
        look_in = None if error is None and rest > 0 else max(0.0, rest)
        self._settle(job, lease, error, look_in=look_in)
        announce.finished(job, run, error)
        if error is not None:
            raise error
        patiently(lambda: self._remove_old_success_job_logs(self.cron_job_class), cron_log.alias())

    def _do(self, job: ClassJob, lease: Lease) -> BaseException | None:
        try:
            self._begin_log(job, lease)
            announce.started(job, lease.run)
            self.cron_job = self.cron_job_class()
            self.cron_job.set_prev_success_cron(cron_log.last_success(job, lease.run.start))
            said = self.cron_job.do()
            self.msg = None if said is None else str(said)
        except BaseException as error:
            return error
        return None

    def _begin_log(self, job: ClassJob, lease: Lease) -> None:
        """Make the run's row of django-cron's log, unless the run was taken over: then it has one."""

        def write() -> None:
            with brief_transaction():
                lease.renew()
                cron_log.begin(job, lease.run, self.cron_log)

        patiently(write)

    def _settle(
        self, job: ClassJob, lease: Lease, error: BaseException | None, *, look_in: float | None
    ) -> None:
        """Write down how the run ended, here and in django-cron's log, in one transaction."""
        run = lease.run
        text = "" if error is None else "".join(format_exception(error))
        run.outcome = Outcome.SUCCESS if error is None else Outcome.FAILED
        run.error = text[-ERROR_LENGTH:]

        def write() -> None:
            with brief_transaction():
                lease.settle(run.outcome, run.error, look_in=look_in)
                if cron_log.alias() == database():
                    self._log(job, run, text)

        try:
            persistently(write, f"The end of {job.path}")
            if cron_log.alias() != database():
                persistently(
                    lambda: self._log(job, run, text), f"The log of {job.path}", cron_log.alias()
                )
        except LeaseLost as lost:
            logger.error(in_words(lost))
            run.outcome, text = Outcome.DIED, text + "".join(format_exception(lost))
            patiently(lambda: self._log(job, run, text), cron_log.alias())
            raise

    def _log(self, job: ClassJob, run: CronRun, text: str) -> None:
        message = self.make_log_msg([self.msg, text])
        succeeded = run.outcome == Outcome.SUCCESS
        cron_log.end(job, run, now(database()), message, succeeded=succeeded)
        if not succeeded and self.write_log:
            logging.getLogger("django_cron").error("%s cronjob error:\n%s", job.name, message)

    def _say(self, due: bool) -> None:
        if not self.silent:
            report = Report(self.cron_job_class.code, due=due, error=self.error)
            self.stdout.write(f"[{report.mark}] {report.job}\n")


def run_class(cron_class: type, *, force: bool, **options: Any) -> Report:
    """Run a class if it is due, under the lock that the site has chosen.

    ``options`` are django-cron's ``silent``, ``dry_run`` and ``stdout``.
    """
    with CronJobManager(cron_class, **options) as manager:
        manager.run(force)
    name = getattr(cron_class, "code", repr(cron_class))
    if isinstance(manager, LeasedManager):
        return Report(name, run=manager.claimed, error=manager.error)
    log = manager.cron_log
    return Report(name, error=RuntimeError(log.message) if log.pk and not log.is_success else None)


def run_claimed(job: ClassJob, run: CronRun) -> BaseException | None:
    """Run a class for a due time that was claimed for this process; return why it failed.

    Raise LeaseLost where the run is another's by now.
    """
    lease = Lease(run, lease_of(job))
    lease.begin()
    with LeasedManager(job.cron_class, silent=True) as manager:
        manager.claimed = runs().get(job=run.job, token=run.token)
        manager.run()
    error: BaseException | None = manager.error
    if isinstance(error, LeaseLost):
        raise error
    return error
