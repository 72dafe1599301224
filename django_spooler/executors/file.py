"""Out through a spool file of our own writing: for processes that are not uWSGI."""

from collections.abc import Iterator, Sequence

from ..spool.directory import Spool
from .base import Executor, Submission


class FileExecutor(Executor):
    """Writes the same file uWSGI would, for the spoolers that serve the directory."""

    def __init__(self, directory: str) -> None:
        self._spool = Spool(directory)

    def put(self, submission: Submission) -> None:
        """Publish the submission's file. Raise SpoolUnavailable where the directory refuses it."""
        self._spool.publish_together([submission.draft], fsync=submission.options.FSYNC)

    def put_all(self, submissions: Sequence[Submission]) -> Iterator[Submission]:
        """Publish their files. Raise SpoolUnavailable: none is kept but those it counts."""
        self._spool.publish_together(
            [submission.draft for submission in submissions], fsync=submissions[0].options.FSYNC
        )
        yield from submissions
