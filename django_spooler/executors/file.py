"""Out through a spool file of our own writing: for processes that are not uWSGI."""

import time

from ..spool.directory import Spool
from ..spool.packet import MARK, encode
from .base import Executor, Job


class FileExecutor(Executor):
    """Writes the same file uWSGI would, for the spoolers that serve the directory."""

    def __init__(self, directory: str) -> None:
        self._spool = Spool(directory)

    def put(self, job: Job) -> None:
        """Publish the job's file. Raise SpoolUnavailable where the directory refuses it."""
        self._spool.publish(
            encode(MARK, job.body), job.place, due=job.due(time.time()), fsync=job.options.FSYNC
        )
