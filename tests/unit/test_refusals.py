"""What is refused at the earliest point, in words that name subject, finding and remedy."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from django_spooler import conf, spooler_task
from django_spooler.exceptions import InvalidArguments, InvalidOptions, InvalidSpoolerTask

from . import tasks_for_tests as tasks


def module_level():
    pass


def test_nested_function():
    def nested():
        pass

    with pytest.raises(InvalidSpoolerTask, match=r"nested: .*top of a module"):
        spooler_task(nested)


def test_lambda():
    with pytest.raises(InvalidSpoolerTask, match="lambda"):
        spooler_task(lambda: None)


def test_two_tasks_of_one_name():
    def other():
        pass

    other.__qualname__ = "add"
    other.__module__ = tasks.__name__
    with pytest.raises(InvalidSpoolerTask, match=r"Two tasks are named .*add"):
        spooler_task(other)


def test_unknown_queue():
    with pytest.raises(InvalidSpoolerTask, match=r"Queue 'mial' .*Known are default"):
        tasks.add.using(queue_name="mial")


@pytest.mark.parametrize("priority", [101, -101, 1.5, "high", True])
def test_priority(priority):
    with pytest.raises(InvalidSpoolerTask, match="between -100 and 100"):
        tasks.add.using(priority=priority)


def test_naive_time():
    with pytest.raises(InvalidSpoolerTask, match="aware datetime"):
        tasks.add.using(run_after=datetime(2030, 1, 1))


def test_time_in_the_decorator():
    with pytest.raises(InvalidSpoolerTask, match="using"):
        spooler_task(run_after=datetime(2030, 1, 1))


def test_misspelt_option_of_the_decorator():
    with pytest.raises(InvalidSpoolerTask, match="did you mean max_attempts"):
        spooler_task(max_atempts=3)


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"backoff": -1}, {"timeout": 0}, {"retry_on": OSError}]
)
def test_value_of_an_option_of_the_decorator(options):
    with pytest.raises(InvalidSpoolerTask, match=next(iter(options))):
        spooler_task(**options)(module_level)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"c": 2})])
def test_arguments_that_do_not_fit(args, kwargs):
    with pytest.raises(InvalidArguments, match=r"add\(a.* cannot take these arguments"):
        tasks.add.enqueue(*args, **kwargs)


class Profile:
    pass


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"profile": Profile()}, r"kwargs\['user'\]\.profile: Profile is not JSON"),
        ([1, [b"raw"]], r"kwargs\['user'\]\[1\]\[0\]: bytes is not JSON"),
        (float("nan"), r"kwargs\['user'\]: nan is not JSON"),
        ({1: 2}, "the key 1 is not a string"),
        (datetime(2030, 1, 1), r"datetime is not JSON. Pass str\(value\)"),
        (SimpleNamespace(pk=1), "Pass its pk"),
        pytest.param(10**5000, "4,200 digits", id="huge"),
    ],
)
def test_argument_that_is_not_json_is_named_by_its_path(value, finding):
    with pytest.raises(InvalidArguments, match=finding):
        tasks.echo.enqueue(user=value)


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({"MAX_ATEMPTS": 3}, "did you mean MAX_ATTEMPTS"),
        ({"MAX_ATTEMPTS": 0}, "whole number, one or more"),
        ({"OUTSIDE_UWSGI": "spol"}, "'inline', 'spool', 'error'"),
        ({"SPOOLERS": {"default": "spool"}}, "absolute path"),
        ({"SPOOLERS": {"default": "uwsgi://host"}}, "host and a port"),
        ({"SPOOLERS": {"../x": "/spool"}}, "cannot be a directory's name"),
        ({"TIMEOUT": -1}, "above zero"),
        ({"FSYNC": 1}, "True or False"),
    ],
)
def test_options_by_exception_and_by_check(options, finding):
    with pytest.raises(InvalidOptions, match=finding):
        conf.Options.from_settings(options)
    params = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    with (
        override_settings(TASKS={"other": params}),
        pytest.raises((InvalidOptions, SystemCheckError), match=finding),
    ):
        call_command("check")


def test_every_default_passes_its_own_check():
    assert conf.problems(vars(conf.Options())) == []
