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
    checks.check_cron_jobs,
    checks.check_cron_options,
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
