"""What an executor is given, and what it is."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..compat import AnyTask
from ..conf import Options
from ..message import Message, encode
from ..result import SpoolerResult
from ..spool import packet
from ..spool.directory import Draft
from ..spool.place import Place


@dataclass(slots=True)  # not frozen: each field of a frozen one costs a call
class Submission:
    """One accepted call, on its way out."""

    task: AnyTask
    message: Message
    result: SpoolerResult
    options: Options
    signed: bool
    """Whether its message is to be signed."""

    @property
    def body(self) -> bytes:
        """The message as it stands in the file."""
        return encode(self.message, signed=self.signed)

    @property
    def place(self) -> Place:
        """Where its file belongs."""
        return Place.of(self.message.queue, self.message.priority)

    @property
    def draft(self) -> Draft:
        """Its file, as it is to be written."""
        return Draft(packet.encode(packet.MARK, self.body), self.place, self.due(time.time()))

    def due(self, now: float) -> float | None:
        """Return its time if that is still to come (seconds since the epoch)."""
        run_after = self.message.run_after
        return run_after if run_after is not None and run_after > now else None


class Executor(ABC):
    """One way out of ``enqueue``."""

    together = 100
    """Submissions that are handed over at a time: so many files are open then."""

    @abstractmethod
    def put(self, submission: Submission) -> None:
        """Hand the submission over: it is accepted when this returns.

        Raise EnqueueError and keep nothing where it cannot be accepted.
        """

    def put_all(self, submissions: Sequence[Submission]) -> Iterator[Submission]:
        """Hand submissions of one backend over, in their order; yield each once it is accepted.

        Raise EnqueueError at the first that cannot be; it and those behind it are not kept.
        """
        for submission in submissions:
            self.put(submission)
            yield submission

    def finish(self, submission: Submission) -> None:  # noqa: B027, it is nothing for most
        """Do what is left in this process once it was announced that the submission is accepted."""
