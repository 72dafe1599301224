"""A run's lease is renewed by a thread, for as long as the job takes."""

import logging
import threading
from types import TracebackType

from django.db import Error, connections

from ..exceptions import LeaseLost
from ..logs import in_words
from .lease import Lease

logger = logging.getLogger("django_spooler")

_BEATS = 4
"""Renewals in the time of one lease."""

_PAUSE = 1.0
"""Seconds between two tries while the database is away, so that it soon hears of us when it is back."""


class Heartbeat:
    """Renews a lease, on a database connection of its own, until the block ends or ``stop``."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self.lost = False
        """True once another node has the job."""

    def __enter__(self) -> "Heartbeat":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; a renewal under way ends first."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        every = self._lease.seconds / _BEATS
        pause = every
        try:
            while not self._stopped.wait(pause):
                try:
                    self._lease.renew()
                    pause = every
                except Error as error:
                    logger.warning("The lease of %r is not renewed: %s", self._lease.run.job, error)
                    connections.close_all()
                    pause = min(every, _PAUSE)
        except LeaseLost as lost:
            self.lost = True
            logger.error(in_words(lost))
        finally:
            connections.close_all()
