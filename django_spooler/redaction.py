"""What of a call is not shown: the values of the parameters its task names in ``redact``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .compat import AnyTask
from .message import Message
from .tasks import call_parameters, find_task, task_names

MASK = "********"
_SHORTEST = 4
"""Characters of a text that is hidden where an error repeats it; a shorter one is in any word."""


def hidden_arguments(
    task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[int | str] | None:
    """Return positions and names of the arguments that a task does not show, None without any."""
    hidden = getattr(task, "redact", ())
    if not hidden:
        return None
    names = list(parameter_names(task, len(args)))
    return [
        *(place for place, name in enumerate(names) if name in hidden),
        *range(len(names), len(args)),
        *(name for name in kwargs if name in hidden),
    ]


def redacted(message: Message) -> tuple[list[Any], dict[str, Any], Callable[[str], str]]:
    """Return a call's arguments as they may be shown, and what hides them in an error's text.

    What is hidden is told by the task, where it is known here, else by the message.
    """
    args, kwargs = message.args, message.kwargs
    task = find_task(message.task)
    hidden = set(hidden_arguments(task, args, kwargs) or () if task else message.redact or ())
    if not hidden:
        return args, kwargs, str
    places = [*enumerate(args), *kwargs.items()]
    secrets = [value for place, value in places if place in hidden]
    texts = sorted(filter(_is_hideable, _texts(secrets)), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in texts:
            text = text.replace(secret, MASK)
        return text

    shown = {place: MASK if place in hidden else value for place, value in places}
    return (
        [shown[place] for place in range(len(args))],
        {name: shown[name] for name in kwargs},
        hide,
    )


def hiding(message: Message) -> Callable[[str], str]:
    """Return what hides a call's secrets in a text: ``str`` where it has none."""
    return redacted(message)[2]


def may_hold_secrets(raw: str) -> bool:
    """Tell whether what could not be read as a message may be that of a task that hides something."""
    redacting = (name for name in task_names() if getattr(find_task(name), "redact", ()))
    return '"redact":' in raw or any(name in raw for name in redacting)


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
        if isinstance(value, str):
            yield repr(value)[1:-1]  # as an error's text may quote it


def _is_hideable(text: str) -> bool:
    return len(text) >= _SHORTEST
