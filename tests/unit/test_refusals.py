"""What is refused at the earliest point, in words that name subject, finding and remedy."""

from collections import OrderedDict, UserList
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.test import override_settings

from django_spooler import conf, spooler_forever, spooler_raw, spooler_task
from django_spooler.exceptions import InvalidArguments, InvalidOptions, InvalidSpoolerTask

from . import tasks_for_tests as tasks


def our_backend(**entry):
    return override_settings(
        TASKS={"default": {"BACKEND": "django_spooler.backend.SpoolerBackend", **entry}}
    )


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


def test_function_of_the_script_that_runs():
    def main():
        pass

    main.__qualname__, main.__module__ = "main", "__main__"
    with pytest.raises(InvalidSpoolerTask, match=r"__main__\.main: .*Move it to a module"):
        spooler_task(main)


@pytest.mark.parametrize("function", [len, SimpleNamespace])
def test_what_is_no_function(function):
    with pytest.raises(InvalidSpoolerTask, match="module level"):
        spooler_task(function)


@pytest.mark.parametrize("value", ["mail", 3, SimpleNamespace()])
def test_what_cannot_be_called(value):
    with pytest.raises(InvalidSpoolerTask, match="spooler_task takes a function, not"):
        spooler_task(value)


def test_task_that_is_decorated_again():
    with pytest.raises(InvalidSpoolerTask, match="add is a task already"):
        spooler_task(tasks.add)


def test_option_spelt_as_in_the_settings():
    with pytest.raises(InvalidSpoolerTask, match="did you mean max_attempts"):
        spooler_task(MAX_ATTEMPTS=3)


@pytest.mark.parametrize("when", [timedelta(seconds=5), 5, date(2030, 1, 1), "tomorrow"])
def test_run_after_that_is_no_datetime(when):
    with pytest.raises(InvalidSpoolerTask, match="run_after must be a datetime, not"):
        tasks.add.using(run_after=when)


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


@pytest.mark.parametrize("decorator", [spooler_task, spooler_raw, spooler_forever])
def test_misspelt_option_of_the_decorator(decorator):
    finding = rf"{decorator.__name__} has no option 'max_atempts': did you mean max_attempts\?"
    with pytest.raises(InvalidSpoolerTask, match=finding):
        decorator(max_atempts=3)


def test_option_of_another_decorator():
    with pytest.raises(InvalidSpoolerTask, match="spooler_raw has no option 'pause'"):
        spooler_raw(pause=3)


def test_context_without_a_parameter_for_it():
    with pytest.raises(InvalidSpoolerTask, match=r"module_level: .*first argument of 'context'"):
        spooler_task(takes_context=True)(module_level)


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


def nested(kind, depth):
    value = kind()
    for _ in range(depth):
        value = kind([("a", value)]) if issubclass(kind, dict) else kind([value])
    return value


itself = [1]
itself.append(itself)
among_others = {"one": 1, "me": {}}
among_others["me"]["me"] = among_others


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ({"profile": Profile()}, r"kwargs\['user'\]\.profile: Profile is not JSON"),
        ([1, [b"raw"]], r"kwargs\['user'\]\[1\]\[0\]: bytes is not JSON"),
        (float("nan"), r"kwargs\['user'\]: nan is not JSON"),
        ({1: 2}, "the key 1 is not a string"),
        (datetime(2030, 1, 1), r"datetime is not JSON. Pass str\(value\)"),
        (SimpleNamespace(pk=1), "Pass its pk"),
        (Decimal("1.5"), r"kwargs\['user'\]: Decimal is not JSON. Pass str\(value\)"),
        (UUID(int=1), r"UUID is not JSON. Pass str\(value\)"),
        ({"tags": {1}}, r"kwargs\['user'\]\.tags: set is not JSON. Pass list\(value\)"),
        ((number for number in range(3)), r"generator is not JSON. Pass list\(value\)"),
        ([float("inf")], r"kwargs\['user'\]\[0\]: inf is not JSON"),
        (date(2030, 1, 1), r"date is not JSON. Pass str\(value\)"),
        ({("a", 1): 2}, r"kwargs\['user'\]: the key \('a', 1\) is not a string"),
        (object, "type is not JSON"),
        (itself, r"kwargs\['user'\]\[1\]\[1\].*: nested more than 300 deep, or containing"),
        (among_others, r"kwargs\['user'\]\.me\.me.*: nested more than 300 deep, or containing"),
        pytest.param(nested(OrderedDict, 400), "nested more than 300 deep", id="deep"),
        pytest.param(nested(UserList, 400), "nested more than 300 deep", id="deep sequences"),
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
        ({"SPOOLERS": {"default": 5}}, "must be a path or address"),
        ({"SPOOLERS": {"default": "uwsgi://host"}}, "host and a port"),
        ({"SPOOLERS": {"../x": "/spool"}}, "cannot be a directory's name"),
        ({"TIMEOUT": -1}, "above zero"),
        ({"FSYNC": 1}, "True or False"),
    ],
)
def test_options(options, finding):
    with our_backend(OPTIONS=options), pytest.raises(InvalidOptions, match=finding):
        tasks.add.enqueue(1)


def test_every_default_passes_its_own_check():
    assert conf.problems(vars(conf.Options())) == []


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ({"QUEUES": "mail"}, "QUEUES is 'mail': it must be a list of names"),
        ({"QUEUES": ["default", "a/b"]}, "'a/b' cannot be a directory's name"),
        ({"OPTIONS": ["SIGNED"]}, "OPTIONS is .*must be a dictionary"),
        ({"OPTION": {}}, "has 'OPTION': did you mean OPTIONS"),
        ({"SIGNED": True}, "has 'SIGNED': move it into its OPTIONS"),
    ],
)
def test_entry_of_tasks(entry, finding):
    with (
        our_backend(**entry),
        pytest.raises(InvalidOptions, match=rf"TASKS\['default'\].*{finding}"),
    ):
        tasks.add.enqueue(1)
