"""Waiting for directories to change: inotify on Linux, a short nap elsewhere."""

import os
import select
import sys
from typing import Protocol

if sys.platform == "linux":
    from inotify_simple import INotify, flags  # type: ignore[import-untyped]

    _FILES = flags.CLOSE_WRITE | flags.MOVED_TO
    _ENTRIES = flags.CREATE | flags.DELETE | flags.MOVED_TO | flags.MOVED_FROM
    _ANY = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.ONESHOT

_NAP = 0.25
"""Seconds between looks where nothing announces a change."""


RELIST = 10.0
"""Seconds after which everything is listed again, whatever was announced."""


class Watcher(Protocol):
    """What tells that directories changed."""

    def watch_files(self, path: str) -> None:
        """Announce the next whole file in the directory, once. Raise FileNotFoundError if gone."""

    def watch_entries(self, path: str) -> None:
        """Announce the next entry that comes or goes, once. Raise FileNotFoundError if gone."""

    def changed(self) -> set[str]:
        """Return the watched directories that changed since the last call; never blocks."""

    def wait(self, seconds: float, *extra: int) -> None:
        """Return after the time, on a change, or when one of the ``extra`` descriptors is readable."""

    def close(self) -> None:
        """Give the descriptors back."""


def new_watcher() -> Watcher:
    """Return the best watcher this machine has left to give."""
    if sys.platform == "linux":
        try:
            return _InotifyWatcher()
        except OSError:  # the user's limit of inotify instances is reached
            pass
    return _PollingWatcher()


class _InotifyWatcher:
    """One event per directory and ``watch``: a burst of 10,000 files costs one wake-up."""

    def __init__(self) -> None:
        self._inotify = INotify(nonblocking=True)
        self._paths: dict[int, str] = {}

    def watch_files(self, path: str) -> None:
        self._watch(path, _FILES)

    def watch_entries(self, path: str) -> None:
        self._watch(path, _ENTRIES)

    def _watch(self, path: str, events: int) -> None:
        self._paths[self._inotify.add_watch(path, events | _ANY)] = path

    def changed(self) -> set[str]:
        found: set[str] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                found.update(self._paths.values())
            elif path := self._paths.get(event.wd):
                found.add(path)
            if event.mask & flags.IGNORED:
                self._paths.pop(event.wd, None)
        return found

    def wait(self, seconds: float, *extra: int) -> None:
        _poll(seconds, self._inotify.fileno(), *extra)

    def close(self) -> None:
        self._inotify.close()


class _PollingWatcher:
    """Takes every watched directory for changed, a few times a second."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def watch_files(self, path: str) -> None:
        os.stat(path)
        self._paths.add(path)

    watch_entries = watch_files

    def changed(self) -> set[str]:
        found, self._paths = self._paths, set()
        return found

    def wait(self, seconds: float, *extra: int) -> None:
        _poll(min(seconds, _NAP), *extra)

    def close(self) -> None:
        self._paths.clear()


def _poll(seconds: float, *descriptors: int) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000)
