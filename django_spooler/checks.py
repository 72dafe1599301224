"""System checks: what is wrong with the set-up, before a task is lost to it.

==== ==============================================================================
E001 an entry of ``OPTIONS`` is unknown, or has a value that cannot work
E002 ``QUEUES`` is no list of names that can be directories
E003 an entry of ``TASKS`` has a key that nobody reads
E004 a function that ``cron_job`` decorates cannot be a periodic job
E005 an entry of ``CRON_CLASSES`` cannot be a periodic job
E006 ``DJANGO_CRON_LOCK_BACKEND`` names no lock
E007 ``CRON_CLASSES`` has entries, and django_cron, which keeps their log, is not installed
E008 ``OPTIONS["REQUEST_ID"]`` does not name a ``ContextVar``
E009 ``OPTIONS["ADMIN_SITE"]`` or ``OPTIONS["ADMIN_BASE"]`` does not lead to such a thing
W001 the app is installed, but no entry of ``TASKS`` uses its backend
W002 ``OPTIONS["SPOOLERS"]`` names a queue that no entry of ``TASKS`` has
W003 a spool directory is inside ``STATIC_ROOT``, ``MEDIA_ROOT`` or a directory of static files
W004 an option of whole processes stands in an entry of ``TASKS`` where nobody reads it
W005 ``OPTIONS["CRON"]`` is set, and no spool directory of this machine is there to run the jobs
W006 ``CRON_CLASSES`` has entries, and a lock under which a job may run twice
==== ==============================================================================

Each is ``django_spooler.E001`` and so on, as SILENCED_SYSTEM_CHECKS takes them.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from .backend import SpoolerBackend
from .backends import served_directories
from .compat import DEFAULT_TASK_QUEUE_NAME
from .conf import Options, entry_problems, problems, queues_problems
from .exceptions import InvalidOptions
from .logs import variable_of
from .tasks import load_tasks

BACKEND = f"{SpoolerBackend.__module__}.{SpoolerBackend.__qualname__}"
AppConfigs = Sequence[AppConfig] | None


@register
def check_options(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the OPTIONS of each backend of ours (E001)."""
    return _errors(
        "django_spooler.E001",
        "Correct TASKS[{!r}]['OPTIONS'].",
        lambda entry: problems(_options(entry)),
    )


@register
def check_queues(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the QUEUES of each backend of ours (E002)."""
    return _errors(
        "django_spooler.E002",
        "Correct TASKS[{!r}]['QUEUES'].",
        lambda entry: queues_problems(_queues(entry)),
    )


@register
def check_entries(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the keys of each entry that uses a backend of ours (E003)."""
    return _errors("django_spooler.E003", "Correct TASKS[{!r}].", entry_problems)


@register
def check_backend(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that some backend is ours (W001): without one, tasks never reach the spooler."""
    if any(_our_entries()):
        return []
    return [
        CheckWarning(
            "django_spooler is installed, but no entry of TASKS uses its backend.",
            hint=f'Set TASKS = {{"default": {{"BACKEND": "{BACKEND}"}}}}.',
            id="django_spooler.W001",
        )
    ]


@register
def check_spoolers(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the queues of SPOOLERS exist (W002): a misspelt one goes to the first spooler."""
    entries = [entry for _, entry in _our_entries() if not queues_problems(_queues(entry))]
    if any(not _queues(entry) for entry in entries):
        return []  # that one takes any queue
    queues = sorted({queue for entry in entries for queue in _queues(entry)})
    return [
        CheckWarning(
            f"OPTIONS['SPOOLERS'] names the queue {queue!r}, which is in no QUEUES.",
            hint=_queue_hint(queue, queues),
            id="django_spooler.W002",
        )
        for entry in entries
        if not problems(_options(entry))
        for queue in _options(entry).get("SPOOLERS", ())
        if queue not in queues
    ]


@register
def check_directories(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no spool directory is served to visitors (W003): its files hold arguments."""
    return [
        CheckWarning(
            f"The spool directory {directory} is inside {setting} ({root}): a web server that"
            " serves these files serves the tasks and their arguments too.",
            hint="Name a directory outside of it: OPTIONS['SPOOLERS'] = {'default': '/var/spool/"
            "mysite'}, and the same for spooler in uWSGI's configuration.",
            id="django_spooler.W003",
        )
        for directory in _spool_directories()
        for setting, root in _served_roots()
        if os.path.commonpath([directory, root]) == root
    ]


@register
def check_request_id(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that REQUEST_ID names a variable that can hold a request's id (E008)."""
    return _errors(
        "django_spooler.E008",
        "Name a contextvars.ContextVar in TASKS[{!r}]['OPTIONS'], as in 'mysite.logs.request_id'.",
        lambda entry: [] if problems(_options(entry)) else _variable_problems(_options(entry)),
    )


def _variable_problems(options: Mapping[str, Any]) -> list[str]:
    try:
        variable_of(Options(**options))
    except InvalidOptions as error:
        return [str(error)]
    return []


@register
def check_cron_jobs(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check each function that is to be a periodic job (E004): one that cannot be never runs."""
    from .cron import jobs

    load_tasks()  # where a job's task cannot be made, that is found out then
    return [
        Error(
            f"The periodic job at {problem.place} never runs: {problem.finding}.",
            hint="Correct what stands in its @cron_job(...).",
            id="django_spooler.E004",
        )
        for problem in jobs.problems()
    ]


@register
def check_cron_classes(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check each class that is to be a periodic job (E005): one that cannot be never runs."""
    from .cron.classes import class_problems

    return [
        Error(
            f"The periodic job {path!r} never runs: {finding}.",
            hint="Correct the class, or what stands in CRON_CLASSES.",
            id="django_spooler.E005",
        )
        for path, finding in class_problems()
    ]


@register
def check_cron_lock(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that classes have a lock (E006), a log (E007), and run once (W006)."""
    from .cron import lock

    remedy = f'Set DJANGO_CRON_LOCK_BACKEND = "{lock.PATH}".'
    if finding := lock.problem():
        return [Error(finding, hint=remedy, id="django_spooler.E006")]
    if not getattr(settings, "CRON_CLASSES", None):
        return []
    if not apps.is_installed("django_cron"):
        return [
            Error(
                "CRON_CLASSES has entries, and the tables of django_cron are missing.",
                hint='Put "django_cron" into INSTALLED_APPS, and migrate.',
                id="django_spooler.E007",
            )
        ]
    if lock.is_chosen():
        return []
    return [
        CheckWarning(
            "A class of CRON_CLASSES may run twice at a time: django-cron's own locks are not safe"
            " over several nodes. OPTIONS['CRON'] leaves them alone.",
            hint=remedy,
            id="django_spooler.W006",
        )
    ]


_FIRST_ONLY = frozenset(
    ("STOP_GRACE", "FAILED_MAX_AGE", "FAILED_MAX_COUNT", "ADMIN_SITE", "ADMIN_BASE")
)
"""Options of whole processes; those of periodic jobs are too."""


@register
def check_process_options(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the options of whole processes stand where they are read (W004)."""
    entries = [entry for entry in _our_entries() if isinstance(_options(entry[1]), Mapping)]
    first = _options(entries[0][1]) if entries else {}
    return [
        CheckWarning(
            f"TASKS[{alias!r}]['OPTIONS'] has {name!r}, which is read in the first entry only.",
            hint=f"Move it to TASKS[{entries[0][0]!r}]['OPTIONS'].",
            id="django_spooler.W004",
        )
        for alias, entry in entries[1:]
        for name, value in _options(entry).items()
        if (name in _FIRST_ONLY or str(name).partition("_")[0] == "CRON")
        and (name not in first or first[name] != value)
    ]


@register
def check_admin(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that ADMIN_SITE and ADMIN_BASE lead to what they should be (E009)."""
    return _errors(
        "django_spooler.E009",
        "Correct TASKS[{!r}]['OPTIONS'], as in 'mysite.admin.site' and 'unfold.admin.ModelAdmin'.",
        lambda entry: [] if problems(_options(entry)) else admin_problems(_options(entry)),
    )


def admin_problems(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with ADMIN_SITE and ADMIN_BASE, one sentence each."""
    if not any(options.get(name) for name in ("ADMIN_SITE", "ADMIN_BASE")):
        return []
    from django.contrib.admin import AdminSite, ModelAdmin  # which not every site has

    wanted: dict[str, tuple[str, Callable[[object], bool]]] = {
        "ADMIN_SITE": ("an AdminSite", lambda value: isinstance(value, AdminSite)),
        "ADMIN_BASE": (
            "a subclass of ModelAdmin",
            lambda value: isinstance(value, type) and issubclass(value, ModelAdmin),
        ),
    }
    found = []
    for name, (kind, is_one) in wanted.items():
        if path := options.get(name):
            try:
                if not is_one(import_string(path)):
                    found.append(f"OPTIONS[{name!r}] is {path!r}: that is not {kind}.")
            except ImportError as error:
                found.append(f"OPTIONS[{name!r}] is {path!r}: {error}.")
    return found


@register
def check_cron_directory(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that somebody is there to run the jobs that CRON is to run (W005)."""
    entries = [_options(entry) for _, entry in _our_entries()]
    if not entries or problems(entries[0]) or not entries[0].get("CRON"):
        return []
    if _spool_directories():
        return []
    return [
        CheckWarning(
            "OPTIONS['CRON'] is set, but every queue goes to a spooler on another machine, so nothing"
            " here runs the periodic jobs.",
            hint="Name a directory for the default queue in OPTIONS['SPOOLERS'], or set CRON to False"
            " and call: python manage.py runcrons",
            id="django_spooler.W005",
        )
    ]


def all_messages() -> list[CheckMessage]:
    """Return what all checks of ours find."""
    checks = (check_options, check_queues, check_entries, check_backend, check_spoolers)
    of_jobs = (check_cron_jobs, check_cron_classes, check_cron_lock)
    others = (check_request_id, check_admin, *of_jobs, check_process_options, check_cron_directory)
    return [message for check in (*checks, check_directories, *others) for message in check()]


def _spool_directories() -> list[str]:
    try:
        return list(served_directories())
    except InvalidOptions:
        return []  # E001 says why


def _served_roots() -> Iterator[tuple[str, str]]:
    """Yield each directory whose files anyone may ask for, and the setting that names it."""
    roots = [(name, getattr(settings, name, None)) for name in ("STATIC_ROOT", "MEDIA_ROOT")]
    for entry in getattr(settings, "STATICFILES_DIRS", ()):
        roots.append(("STATICFILES_DIRS", entry[1] if isinstance(entry, (list, tuple)) else entry))
    for name, root in roots:
        if root:
            yield name, os.path.realpath(root)


def _queue_hint(queue: str, queues: list[str]) -> str:
    near = difflib.get_close_matches(queue, queues, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Add it to QUEUES; known are {queues}."


def _errors(
    identifier: str, hint: str, find: Callable[[Mapping[str, Any]], list[str]]
) -> list[CheckMessage]:
    return [
        Error(problem, hint=hint.format(alias), id=identifier)
        for alias, entry in _our_entries()
        for problem in find(entry)
    ]


def _options(entry: Mapping[str, Any]) -> Any:
    return entry.get("OPTIONS", {})


def _queues(entry: Mapping[str, Any]) -> Any:
    return entry.get("QUEUES", [DEFAULT_TASK_QUEUE_NAME])


def _our_entries() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the alias and the entry of each backend that is ours, or made from it."""
    for alias, entry in (getattr(settings, "TASKS", None) or {}).items():
        try:
            backend = import_string(entry.get("BACKEND", ""))
        except ImportError:
            continue  # the framework refuses it
        if isinstance(backend, type) and issubclass(backend, SpoolerBackend):
            yield alias, entry
