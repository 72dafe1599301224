"""Other libraries that use the same spooler: which of their files they get, and how."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

from .tasks import SPOOL_IGNORE

Handler: TypeAlias = Callable[[Mapping[bytes | str, bytes]], Any]


class Neighbours:
    """The handlers of one uWSGI process that are not ours."""

    def __init__(self, uwsgi: ModuleType, ours: Handler) -> None:
        self._uwsgi = uwsgi
        self._ours = ours
        self._previous: Handler | None = None
        self._is_their_turn = False

    def take_over(self) -> None:
        """Put our handler before the one that is set."""
        current = getattr(self._uwsgi, "spooler", None)
        if current != self._ours:
            self._previous = current
            setattr(self._uwsgi, "spooler", self._ours)  # noqa: B010

    def verdict(self, variables: Mapping[bytes, bytes]) -> str | None:
        """Return why a foreign packet must not reach any of them, None if it may."""
        name = variables.get(b"ud_spool_func")
        if name is not None:
            return _uwsgidecorators_verdict(name, variables)
        if self._previous is None or _is_of_uwsgidecorators(self._previous):
            return "ForeignTask: no handler in this uWSGI takes it"
        return None

    def call(self, environ: Mapping[bytes | str, bytes], variables: Mapping[bytes, bytes]) -> Any:
        """Hand a foreign file to its library: it answers uWSGI as if it were alone."""
        if self._is_their_turn:  # a handler that wraps ours
            return SPOOL_IGNORE
        self._is_their_turn = True
        try:
            if b"ud_spool_func" in variables:
                return sys.modules["uwsgidecorators"].manage_spool_request(environ)
            assert self._previous is not None
            return self._previous(environ)
        finally:
            self._is_their_turn = False
            self.take_over()  # the task may have imported another library


def import_uwsgidecorators(uwsgi: ModuleType) -> None:
    """Import it before we take over, since its first import sets the handler and the fork hook.

    What stood there stays the handler of all files but those of uwsgidecorators. It raises without
    a master process, and where uWSGI brings no such module.
    """
    if "uwsgidecorators" in sys.modules:
        return
    handler, hook = getattr(uwsgi, "spooler", None), getattr(uwsgi, "post_fork_hook", None)
    with contextlib.suppress(Exception):
        module = importlib.import_module("uwsgidecorators")
        if handler is not None:
            setattr(uwsgi, "spooler", handler)  # noqa: B010
        if hook is not None:
            module.postfork_chain.append(hook)


def _uwsgidecorators_verdict(name: bytes, variables: Mapping[bytes, bytes]) -> str | None:
    """Return why a task of uwsgidecorators is not handed on.

    It unpickles the arguments before it looks whether it knows the function, so we look first.
    """
    module = sys.modules.get("uwsgidecorators")
    function = getattr(module, "spooler_functions", {}).get(os.fsdecode(name))
    if function is None:
        return f"UnknownTask: uwsgidecorators has no function {os.fsdecode(name)!r} in this process"
    decorator = getattr(getattr(function, "spool", None), "__self__", None)
    if b"args" in variables and not getattr(decorator, "pass_arguments", True):
        return "ForeignTask: pickled arguments for a function of uwsgidecorators that takes none"
    return None


def _is_of_uwsgidecorators(handler: Callable[..., Any]) -> bool:
    return getattr(handler, "__module__", None) == "uwsgidecorators"
