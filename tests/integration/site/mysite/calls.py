"""How the tests call the site's functions: over HTTP, or in a process that is not uWSGI."""

import json
import os
from datetime import timedelta
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.utils import timezone
from django.utils.module_loading import import_string

from django_spooler.compat import task_backends


def answer(request: bytes | str) -> dict[str, Any]:
    """Call the function a request names; an exception is an answer too."""
    call = json.loads(request)
    try:
        value = import_string(call["function"])(*call["args"], **call["kwargs"])
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"pid": os.getpid(), "error": kinds, "message": str(error)}
    return {"pid": os.getpid(), "value": value}


def enqueue(
    task: str,
    args: list[Any],
    kwargs: dict[str, Any],
    using: dict[str, Any] | None = None,
    how: str = "enqueue",
) -> dict[str, Any]:
    """Enqueue a call of a task; ``run_after`` is in seconds from now."""
    found = import_string(task)
    if using:
        if "run_after" in using:
            using["run_after"] = timezone.now() + timedelta(seconds=using["run_after"])
        found = found.using(**using)
    method = partial(getattr(found, how), *args, **kwargs)
    result = async_to_sync(method)() if how == "aenqueue" else method()
    return {
        "id": result.id,
        "status": result.status.value,
        "attempts": result.attempts,
        "return_value": result._return_value,
    }


def result_of(identifier: str) -> list[Any]:
    """Return status and value of a kept result."""
    result = task_backends["kept"].get_result(identifier)
    return [result.status.value, result.return_value]
