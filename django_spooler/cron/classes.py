"""Classes of django-cron as periodic jobs: what they are, and which the site has."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_cron.core import CronJobBase, Schedule

from ..conf import positive_seconds_problem
from ..logs import in_words
from .class_schedule import ClassSchedule
from .jobs import find_job

_CODE_LENGTH = 64
"""Characters of a code that django-cron's log has room for."""


@dataclass(frozen=True, slots=True)
class ClassJob:
    """A class of django-cron, and when it runs."""

    cron_class: type

    @property
    def name(self) -> str:
        """Its ``code``."""
        code: str = self.cron_class.code  # type: ignore[attr-defined]
        return code

    @property
    def path(self) -> str:
        """Its dotted path."""
        return f"{self.cron_class.__module__}.{self.cron_class.__qualname__}"

    @property
    def place(self) -> str:
        """File and line of the class."""
        try:
            return f"{inspect.getsourcefile(self.cron_class)}:{inspect.getsourcelines(self.cron_class)[1]}"
        except (OSError, TypeError):
            return self.path

    @property
    def overlap(self) -> str:
        """Whether a run may start beside another: "allow" or "skip"."""
        return "allow" if getattr(self.cron_class, "ALLOW_PARALLEL_RUNS", False) else "skip"

    @property
    def lease(self) -> float | None:
        """Seconds: its own, or what django-cron calls lock time; None for ``CRON_LEASE``."""
        own = getattr(self.cron_class, "lease", None)
        if own is not None:
            return float(own)
        lock_time = getattr(settings, "DJANGO_CRON_LOCK_TIME", None)
        lock_time = getattr(self.cron_class, "DJANGO_CRON_LOCK_TIME", lock_time)
        return None if lock_time is None else float(lock_time)

    @property
    def max_attempts(self) -> int:
        """One: a failed run has a due time of its own."""
        return 1

    @property
    def ping(self) -> str | None:
        """The URL of a healthchecks service, from the class's attribute."""
        return getattr(self.cron_class, "ping", None)

    @property
    def schedule(self) -> ClassSchedule:
        """When it is due, in the site's time zone; of a class without, its instances may know."""
        found = getattr(self.cron_class, "schedule", None)
        if not isinstance(found, Schedule):
            found = self.cron_class().schedule
        return ClassSchedule(found, timezone.get_default_timezone())

    def in_words(self) -> str:
        """Return when it runs as a sentence's part, in English."""
        return self.schedule.in_words()


def class_jobs() -> list[ClassJob]:
    """Return the jobs of CRON_CLASSES, in their order; those that cannot run are left out."""
    classes = (_class_at(path) for path in _paths())
    return [ClassJob(found) for found in classes if isinstance(found, type) and not problem(found)]


def class_problems() -> Iterator[tuple[str, str]]:
    """Yield each entry of CRON_CLASSES that cannot be a job, and why."""
    seen: dict[str, str] = {}
    for path in _paths():
        found = _class_at(path)
        if isinstance(found, Exception):
            yield path, f"it cannot be imported: {in_words(found)}"
        elif finding := problem(found):
            yield path, finding
        elif namesake := seen.get(found.code) or (find_job(found.code) and "a function"):
            yield path, f"its code {found.code!r} is that of {namesake} too"
        else:
            seen[found.code] = path


def _paths() -> Iterable[str]:
    return getattr(settings, "CRON_CLASSES", None) or ()


def _class_at(path: str) -> Any:
    """Return what CRON_CLASSES names, or why there is nothing: whatever its module raises."""
    try:
        return import_string(path)
    except Exception as error:
        return error


def problem(cron_class: Any) -> str | None:
    """Return why a class cannot run under ``DatabaseLeaseLock``, or None."""
    if not (isinstance(cron_class, type) and issubclass(cron_class, CronJobBase)):
        return f"{cron_class!r} is no subclass of django_cron.CronJobBase"
    code = getattr(cron_class, "code", None)
    if code is None:
        return "it does not have a code attribute, which is its name in the log"
    if not isinstance(code, str) or not 0 < len(code) <= _CODE_LENGTH:
        return f"its code is {code!r}: it must be a string of 1 to {_CODE_LENGTH} characters"
    try:
        ClassJob(cron_class).schedule.check()
    except Exception as error:
        return f"its schedule cannot be read: {in_words(error)}"
    for name in ("lease", "DJANGO_CRON_LOCK_TIME"):
        value = getattr(cron_class, name, getattr(settings, name, None))
        if value is not None and (finding := positive_seconds_problem(value)):
            return f"its {name} is {value!r}: {finding}"
    return None
