"""The site that uWSGI serves: each request is a call of ``calls``, as JSON."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from .calls import answer, peer

get_wsgi_application()
peer()  # in the master, so that its task is known in every process


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one call."""
    value = answer(json.load(environ["wsgi.input"]))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]
