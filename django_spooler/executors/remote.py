"""Out through a socket: to the spooler of another uWSGI instance.

Any uwsgi-protocol socket of an instance with a spooler takes packets of modifier1 17 and answers
with 4 bytes: modifier1 255, modifier2 1 where the file was written. There is no body, so a message
is limited to what a packet's variables hold, and no authentication: set ``SIGNED``, and let only
trusted hosts reach the socket. What is over 4 KiB needs ``buffer-size`` on that instance. Source:
``plugins/spooler/spooler_plugin.c`` of uWSGI.
"""

import math
import socket
import time
from urllib.parse import urlsplit

from ..exceptions import SpoolUnavailable
from ..spool.packet import MARK, encode
from .base import Executor, Submission

TIMEOUT = 10.0
"""Seconds to connect, and to get the answer."""

_WRITTEN = (255, 1)
_LARGEST = 60_000
_DEFAULT_BUFFER = 4096
_VALUE_LIMIT_KIB = _LARGEST // 1024


class RemoteExecutor(Executor):
    """Sends the message to ``uwsgi://host:port``."""

    def __init__(self, address: str) -> None:
        self._address = address

    def put(self, submission: Submission) -> None:
        """Send the submission. Raise SpoolUnavailable where the other side does not take it."""
        body = submission.body
        if len(body) > _LARGEST:
            raise SpoolUnavailable(
                f"{submission.message.task} takes {len(body) // 1024} KiB of arguments; queue"
                f" {submission.message.queue!r} ({self._address}) carries {_VALUE_LIMIT_KIB} KiB. Pass an id"
                " and load the rest in the task."
            )
        self._send(encode(self._variables(submission, body)))

    def _variables(self, submission: Submission, body: bytes) -> dict[bytes, bytes]:
        due = submission.due(time.time())
        variables = {**MARK, b"message": body}
        if due is not None:
            variables[b"at"] = str(math.ceil(due)).encode()
        return variables

    def _send(self, packet: bytes) -> None:
        parts = urlsplit(self._address)
        try:
            with socket.create_connection(
                (parts.hostname, parts.port), timeout=TIMEOUT
            ) as connection:
                connection.sendall(packet)
                answer = connection.recv(4)
        except OSError as error:
            raise SpoolUnavailable(
                f"The spooler at {self._address} could not be reached: {error}. Nobody knows whether"
                " it took the task. Check that the instance runs and the socket is open to this host."
                f"{_size_advice(packet)}"
            ) from error
        if len(answer) < 4 or (answer[0], answer[3]) != _WRITTEN:
            raise SpoolUnavailable(
                f"The uWSGI at {self._address} did not take the task: it has no spooler, or its"
                f" directory refused the file. Its log says why.{_size_advice(packet)}"
            )


def _size_advice(packet: bytes) -> str:
    """Return what to set there, where uWSGI's default would break the connection off."""
    if len(packet) <= _DEFAULT_BUFFER:
        return ""
    return f" This task needs buffer-size = 65535 there; uWSGI's default is {_DEFAULT_BUFFER}."
