"""Out through a spool file of our own writing: for processes that are not uWSGI."""

from collections.abc import Iterator, Sequence

from ..spool.directory import Spool
from .base import Executor, Job


class FileExecutor(Executor):
    """Writes the same file uWSGI would, for the spoolers that serve the directory."""

    def __init__(self, directory: str) -> None:
        self._spool = Spool(directory)

    def put(self, job: Job) -> None:
        """Publish the job's file. Raise SpoolUnavailable where the directory refuses it."""
        self._spool.publish_together([job.draft], fsync=job.options.FSYNC)

    def put_all(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Publish the files of all jobs. Raise SpoolUnavailable: none is kept but those it counts."""
        self._spool.publish_together([job.draft for job in jobs], fsync=jobs[0].options.FSYNC)
        yield from jobs
