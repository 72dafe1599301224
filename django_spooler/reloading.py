"""A worker that is started anew whenever the code changes, as ``runserver`` is: for development.

The worker is a child: it forks, and hears signals, as no thread of Django's reloader could. This
process only watches, with Django's reloader, and goes on watching where the new code cannot start.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from django.apps import apps
from django.utils import autoreload

from .orphans import signal_on_death_of_parent
from .tasks import load_tasks

OPTION = "--reload"


def work_and_reload(say: Callable[[str], None]) -> int:
    """Run the current command without OPTION in a child, again after each change of the code.

    Return its status once it has ended in good order, or was told to end with this process.
    """
    load_tasks()  # their modules are watched
    child = _Child(say)
    autoreload.file_changed.connect(child.note_change)
    return child.watch()


class _Child:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_to_leave = False
        self._is_told = False
        self._changed: Path | None = None
        self._reloader = autoreload.get_reloader()
        for app in apps.get_app_configs():  # modules that are new, or cannot be imported yet
            self._reloader.watch_dir(Path(app.path), "**/*.py")
        autoreload.autoreload_started.send(sender=self._reloader)

    def watch(self) -> int:
        """Start it, and start it again after each change, until it has ended for good."""
        self._start()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._pass_on)
        for _ in self._reloader.tick():
            if self._changed and not self._is_to_leave:
                self._say(f"{self._changed} changed, the worker starts anew.")
                self._restart()
            elif (status := self._process.poll()) is not None and self._is_over(status):
                return status
        raise AssertionError("Django's reloader watches for ever")

    def note_change(self, file_path: Path, **kwargs: Any) -> bool:
        """Keep Django's reloader from ending this process."""
        self._changed = file_path
        return True

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        """Tell the child to end; the first signal lets its tasks finish, the second does not."""
        self._is_to_leave = True
        self._signal(signum)

    def _is_over(self, status: int) -> bool:
        if self._is_to_leave or status == 0:
            return True
        if not self._is_told:
            self._say(f"The worker ended with status {status}. It starts anew after a change.")
            self._is_told = True
        return False

    def _restart(self) -> None:
        self._changed = None
        self._signal(signal.SIGTERM)
        self._process.wait()
        if not self._is_to_leave:
            self._start()

    def _start(self) -> None:
        self._is_told = False
        self._process = subprocess.Popen(  # noqa: S603  the command this process was started by
            [part for part in autoreload.get_child_arguments() if part != OPTION],
            start_new_session=True,  # a Ctrl-C reaches it once, through us
            preexec_fn=partial(signal_on_death_of_parent, signal.SIGTERM),
        )

    def _signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signum)
