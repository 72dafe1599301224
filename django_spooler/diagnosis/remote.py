"""Whether the uWSGIs that tasks are sent to answer."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from ..backend import spooler_backends
from ..exceptions import InvalidOptions
from .problem import Problem

_SECONDS = 3.0
"""Seconds to connect."""


def problems() -> Iterator[Problem]:
    """Yield the addresses of ``SPOOLERS`` that nobody listens at; nothing is sent."""
    for address, queues in _addresses().items():
        parts = urlsplit(address)
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=_SECONDS).close()
        except OSError as error:
            yield Problem(
                "remote-unreachable",
                _("The spooler of queue %(queues)s at %(address)s cannot be reached: %(error)s.")
                % {"queues": ", ".join(queues), "address": address, "error": error},
                f"socket = {parts.hostname}:{parts.port}",
            )


def _addresses() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for backend in spooler_backends():
            for queue in backend.spooler_options.SPOOLERS:
                place = backend.spooler_options.spooler_for(queue)
                if place and place.startswith("uwsgi://"):
                    found.setdefault(place, []).append(queue)
    except InvalidOptions:
        return {}  # a system check tells of it
    return found
