"""What ends a wait for descriptors when a signal comes."""

import contextlib
import signal
import socket


class Wakeup:
    """A descriptor that is readable once a signal has come, until it is drained.

    Python goes on with a wait that a signal broke into, unless there is something to read. Source:
    ``signal.set_wakeup_fd`` and PEP 475.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._reader.fileno()

    def hear(self) -> int:
        """Let this process's signals come here from now on; return the descriptor they came to."""
        return signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def drain(self) -> None:
        """Wait for the next signal from now on."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        """Give the descriptors back; no signal may come here any more."""
        self._reader.close()
        self._writer.close()
