"""What of a call is not shown: the values of the parameters its task names in ``redact``."""

from collections.abc import Callable, Iterator
from typing import Any

from .compat import AnyTask
from .tasks import call_parameters, find_task, task_names

MASK = "********"
_SHORTEST = 4
"""Characters of a text that is hidden where an error repeats it; a shorter one is in any word."""


def redacted(
    name: str, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any], Callable[[str], str]]:
    """Return a call's arguments as they may be shown, and what hides them in an error's text."""
    task = find_task(name)
    hidden = frozenset(getattr(task, "redact", ()))
    if task is None or not hidden:
        return args, kwargs, str
    names = list(parameter_names(task, len(args)))
    named = list(zip(names, args, strict=False))
    shown_args = [MASK if name in hidden else value for name, value in named]
    shown_kwargs = {key: MASK if key in hidden else value for key, value in kwargs.items()}
    secrets = [value for name, value in (*named, *kwargs.items()) if name in hidden]
    texts = sorted(filter(_is_hideable, _texts(secrets)), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in texts:
            text = text.replace(secret, MASK)
        return text

    return shown_args + [MASK] * (len(args) - len(names)), shown_kwargs, hide


def redacting_tasks() -> list[str]:
    """Return the dotted paths of the tasks that hide something."""
    return [name for name in task_names() if getattr(find_task(name), "redact", ())]


def parameter_names(task: AnyTask, count: int) -> Iterator[str]:
    """Yield the names of the parameters that ``count`` positional arguments are for."""
    for parameter in call_parameters(task):
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from [parameter.name] * count
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count -= 1
            if count < 0:
                return
            yield parameter.name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


def _is_hideable(text: str) -> bool:
    return len(text) >= _SHORTEST
