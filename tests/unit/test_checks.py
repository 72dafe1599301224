"""What ``manage.py check`` says, one way of being wrong at a time."""

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from django_spooler import checks
from django_spooler.backend import SpoolerBackend

# Of a server, Django's own checks of the models ask the version.
pytestmark = pytest.mark.django_db

CHECKS = [
    checks.check_options,
    checks.check_queues,
    checks.check_entries,
    checks.check_backend,
    checks.check_spoolers,
    checks.check_directories,
    checks.check_request_id,
    checks.check_cron_jobs,
    checks.check_cron_classes,
    checks.check_cron_lock,
    checks.check_process_options,
    checks.check_admin,
    checks.check_cron_directory,
]


class OwnBackend(SpoolerBackend):
    """A site's own backend, made from ours."""


def found(*entries):
    """Return what all checks say of these entries of TASKS: id to message."""
    tasks = {
        f"entry {number}": {"BACKEND": checks.BACKEND, **entry}
        for number, entry in enumerate(entries)
    }
    with override_settings(TASKS=tasks):
        told = [message for check in CHECKS for message in check()]
    assert all(message.hint for message in told)
    return {message.id.removeprefix("django_spooler."): message.msg for message in told}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"QUEUES": []},
        {"QUEUES": ("default", "mail")},
        {"QUEUES": ["default", "mail"], "OPTIONS": {"SPOOLERS": {"mail": "/srv/mail"}}},
        {"QUEUES": [], "OPTIONS": {"SPOOLERS": {"any": "uwsgi://10.0.0.5:3031"}}},
        {"BACKEND": f"{__name__}.OwnBackend"},
    ],
)
def test_good_settings_are_left_alone(entry):
    assert found(entry) == {}


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        (None, "OPTIONS is None: it must be a dictionary"),
        ({"MAX_ATEMPTS": 3}, "did you mean MAX_ATTEMPTS?"),
        ({"MAX_ATTEMPTS": 0}, "OPTIONS['MAX_ATTEMPTS'] is 0: it must be a whole number"),
        ({"SPOOLERS": {"default": "spool"}}, "must be an absolute path"),
        ({"SPOOLERS": ["/spool"]}, "must be a dictionary of queue name to spool directory"),
    ],
)
def test_wrong_options(options, finding):
    told = found({"OPTIONS": options})
    assert told.keys() == {"E001"}
    assert finding in told["E001"]


@pytest.mark.parametrize("queues", ["mail", 5, {"mail": 1}, ["a/b"], ["default", 3], [""], [".x"]])
def test_wrong_queues(queues):
    assert found({"QUEUES": queues}).keys() == {"E002"}


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        ("OPTION", "did you mean OPTIONS?"),
        ("queues", "did you mean QUEUES?"),
        ("TIMEOUT", "move it into its OPTIONS"),
        ("x", "known are BACKEND, OPTIONS, QUEUES"),
    ],
)
def test_key_that_nobody_reads(key, finding):
    told = found({key: 5})
    assert told.keys() == {"E003"}
    assert finding in told["E003"]


@pytest.mark.parametrize(
    "backend", ["django.tasks.backends.dummy.DummyBackend", "no.such.Backend", "django_spooler"]
)
def test_no_backend_of_ours(backend):
    assert found({"BACKEND": backend}).keys() == {"W001"}
    assert found().keys() == {"W001"}


def test_spooler_for_a_queue_that_is_not_there():
    misspelt = {"SPOOLERS": {"mial": "/srv/mail"}}
    assert "the queue 'mial'" in found({"QUEUES": ["mail"], "OPTIONS": misspelt})["W002"]
    assert found({"QUEUES": ["mail"], "OPTIONS": misspelt}, {"QUEUES": ["mial"]}) == {}


def test_each_thing_that_is_wrong_is_told_at_once():
    options = {"TIMEOUT": -1, "FSYNC": 1}
    tasks = {"other": {"BACKEND": checks.BACKEND, "QUEUES": "mail", "OPTIONS": options, "X": 1}}
    with override_settings(TASKS=tasks), pytest.raises(SystemCheckError) as caught:
        call_command("check")
    for text in ("'TIMEOUT'", "'FSYNC'", "QUEUES is 'mail'", "'X'", "TASKS['other']"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    "pair", [["django_cron", "django_spooler"], ["django_spooler", "django_cron"]]
)
def test_order_of_the_apps_does_not_matter(pair):
    others = [app for app in settings.INSTALLED_APPS if app not in pair]
    with override_settings(INSTALLED_APPS=[*pair, *others]):
        call_command("check", fail_level="WARNING")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("STATIC_ROOT", "/srv"),
        ("MEDIA_ROOT", "/srv/mail"),
        ("STATICFILES_DIRS", ["/srv"]),
        ("STATICFILES_DIRS", [("prefix", "/srv")]),
    ],
)
def test_spool_directory_that_is_served_to_visitors(setting, value):
    options = {"SPOOLERS": {"default": "/srv/mail"}}
    with override_settings(**{setting: value}):
        assert f"is inside {setting}" in found({"OPTIONS": options})["W003"]
        assert found({"OPTIONS": {"SPOOLERS": {"default": "/srvice"}}}) == {}


# Classes of django-cron

CLASSES = "tests.unit.classes_for_tests"
LOCK = "django_spooler.cron.DatabaseLeaseLock"


def found_of(*paths, **settings):
    """Return what all checks say with these CRON_CLASSES, and our lock unless another is given."""
    settings = {"DJANGO_CRON_LOCK_BACKEND": LOCK, "CRON_CLASSES": list(paths), **settings}
    with override_settings(**settings):
        return found({})


def test_good_classes_are_left_alone():
    assert found_of(f"{CLASSES}.Hourly", f"{CLASSES}.AtMidnight") == {}


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("no.such.module.Job", "it cannot be imported: ModuleNotFoundError"),
        (f"{CLASSES}.NoSuchClass", "it cannot be imported: ImportError"),
        ("NoPath", "it cannot be imported: ImportError"),
        (f"{CLASSES}.NOT_A_CLASS", "'a text' is no subclass of django_cron.CronJobBase"),
        (f"{CLASSES}.NoCode", "it does not have a code attribute"),
        (f"{CLASSES}.LongCode", "must be a string of 1 to 64 characters"),
        (f"{CLASSES}.NoSchedule", "its schedule cannot be read: AttributeError"),
        (f"{CLASSES}.WrongTime", "time data 'noon' does not match format"),
        (f"{CLASSES}.WrongLease", "its lease is -1: it must be a number of seconds above zero"),
        (f"{CLASSES}.NamedTwice", f"its code 'class-hourly' is that of {CLASSES}.Hourly too"),
        (f"{CLASSES}.NamedLikeAFunction", "its code 'hourly' is that of a function too"),
    ],
)
def test_wrong_class(path, finding):
    told = found_of(f"{CLASSES}.Hourly", path)
    assert told.keys() == {"E005"}
    assert path in told["E005"]
    assert finding in told["E005"]


@pytest.mark.parametrize("lock", ["no.such.Lock", f"{CLASSES}.Hourly", "NoPath"])
def test_wrong_lock(lock):
    assert found_of(DJANGO_CRON_LOCK_BACKEND=lock).keys() == {"E006"}


def test_log_of_classes_that_is_not_installed():
    apps = [app for app in settings.INSTALLED_APPS if app != "django_cron"]
    assert found_of(f"{CLASSES}.Hourly", INSTALLED_APPS=apps).keys() == {"E007"}


@pytest.mark.parametrize("name", ["cache.CacheLock", "file.FileLock", "database.DatabaseLock"])
def test_lock_under_which_a_class_may_run_twice(name):
    lock = f"django_cron.backends.lock.{name}"
    assert found_of(f"{CLASSES}.Hourly", DJANGO_CRON_LOCK_BACKEND=lock).keys() == {"W006"}
    assert found_of(DJANGO_CRON_LOCK_BACKEND=lock) == {}


no_variable = "text"


@pytest.mark.parametrize(
    ("name", "finding"),
    [("no_variable", "not a contextvars.ContextVar"), ("gone", "does not define")],
)
def test_request_id_that_is_no_variable(name, finding):
    assert finding in found({"OPTIONS": {"REQUEST_ID": f"{__name__}.{name}"}})["E008"]
    assert found({"OPTIONS": {"REQUEST_ID": "django_spooler.logs.request_id"}}) == {}


@pytest.mark.parametrize("name", ["STOP_GRACE", "FAILED_MAX_AGE", "CRON"])
def test_option_of_whole_processes_that_nobody_reads(name):
    value = True if name == "CRON" else 5
    assert f"has {name!r}" in found({}, {"OPTIONS": {name: value}})["W004"]
    assert found({"OPTIONS": {name: value}}, {"OPTIONS": {name: value}}) == {}


@pytest.mark.parametrize("name", ["ADMIN_SITE", "ADMIN_BASE"])
@pytest.mark.parametrize("path", ["no.such.thing", "django_spooler.checks", "django.conf.settings"])
def test_admin_that_is_none(name, path):
    assert f"OPTIONS[{name!r}] is {path!r}" in found({"OPTIONS": {name: path}})["E009"]


def test_admin_that_is_one():
    options = {
        "ADMIN_SITE": "django.contrib.admin.site",
        "ADMIN_BASE": "django.contrib.admin.ModelAdmin",
    }
    assert found({"OPTIONS": options}) == {}
