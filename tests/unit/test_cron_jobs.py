"""What ``cron_job`` takes, and what it refuses: a system check names the place."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from django_spooler import checks, spooler_task
from django_spooler.cron import CronContext, cron_job, jobs
from django_spooler.cron.jobs import find_job

EVERY = timedelta(minutes=5)


def plain() -> None: ...


def with_context(context: CronContext) -> None: ...


def with_default(count: int = 3) -> None: ...


def with_two(first: object, second: object) -> None: ...


async def coroutine() -> None: ...


@spooler_task
def task() -> None: ...


class CallableObject:
    def __call__(self) -> None: ...


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no job of this module stay."""
    monkeypatch.setattr(jobs, "_registry", {})
    monkeypatch.setattr(jobs, "_problems", [])
    yield


def told() -> list[str]:
    """Return what the check says; every message names the file and tells what to do."""
    found = checks.check_cron_jobs()
    assert all(message.id == "django_spooler.E004" and message.hint for message in found)
    return [message.msg for message in found]


def test_job_is_named_by_its_dotted_path_and_stays_a_function() -> None:
    assert cron_job(every=EVERY)(plain) is plain
    assert find_job(f"{__name__}.plain") is not None
    assert told() == []


def test_job_may_have_another_name_and_a_function_several_jobs() -> None:
    for code in ("morning", "evening"):
        cron_job("0 8 * * *", code=code)(plain)
    assert find_job("morning") and find_job("evening")
    assert told() == []


@pytest.mark.parametrize(
    ("function", "takes"), [(plain, False), (with_context, True), (with_default, False)]
)
def test_function_is_given_a_context_only_where_it_takes_one(
    function: Callable[..., None], takes: bool
) -> None:
    cron_job(every=EVERY, code="job")(function)
    job = find_job("job")
    assert job is not None and job.takes_context is takes


def test_times_are_seconds_or_timedeltas() -> None:
    cron_job(every=EVERY, code="job", lease=timedelta(minutes=2), timeout=300)(plain)
    job = find_job("job")
    assert job is not None and (job.lease, job.timeout) == (120, 300)


@pytest.mark.parametrize(
    ("function", "options", "finding"),
    [
        (plain, {"expression": "* * *"}, "is no crontab expression"),
        (plain, {"expression": "0 0 30 2 *"}, "never comes true"),
        (plain, {"expression": "0 0 * * *", "timezone": "Mars/Base"}, "is not known here"),
        (plain, {"expression": 5}, "is no crontab expression"),
        (plain, {}, "needs a crontab expression or every="),
        (plain, {"expression": "* * * * *", "every": EVERY}, "and not both"),
        (plain, {"every": timedelta(milliseconds=1)}, "a second or more"),
        (plain, {"every": EVERY, "timezone": "UTC"}, "timezone is for crontab expressions"),
        (plain, {"every": EVERY, "overlap": "never"}, "it must be one of 'skip'"),
        (plain, {"every": EVERY, "catch_up": "some"}, "it must be one of 'latest'"),
        (plain, {"every": EVERY, "lease": 0}, "above zero"),
        (plain, {"every": EVERY, "timeout": -1}, "above zero"),
        (plain, {"every": EVERY, "jitter": -1}, "zero or more"),
        (plain, {"every": EVERY, "max_attempts": 0}, "one or more"),
        (plain, {"every": EVERY, "ping": "hc-ping.com/x"}, "it must be a URL"),
        (plain, {"every": EVERY, "code": ""}, "1 to 200 characters"),
        (with_two, {"every": EVERY}, "more than one argument"),
        (coroutine, {"every": EVERY}, "coroutine function"),
        (task, {"every": EVERY}, "a task already"),
        (CallableObject(), {"every": EVERY}, "takes a function"),
        (lambda: None, {"every": EVERY}, "at the top of a module"),
    ],
)
def test_what_cannot_be_a_job_is_told_by_a_check_and_never_runs(
    function: Any, options: dict[str, Any], finding: str
) -> None:
    cron_job(**options)(function)
    (message,) = told()
    assert finding in message and "never runs" in message
    assert jobs.all_jobs() == []


def test_place_of_a_wrong_job_is_named() -> None:
    cron_job("* * *")(plain)
    assert f"{__file__}:{plain.__code__.co_firstlineno}" in told()[0]


def test_decorator_without_parentheses_is_found() -> None:
    decorator: Any = cron_job
    assert decorator(plain) is plain
    assert "with the parentheses" in told()[0]


def test_two_jobs_of_one_name_are_refused() -> None:
    cron_job(every=EVERY, code="job")(plain)
    cron_job(every=EVERY, code="job")(with_context)
    (message,) = told()
    assert "two periodic jobs are named 'job'" in message


def backends(*options: dict[str, Any]) -> dict[str, Any]:
    return {
        f"entry {number}": {"BACKEND": checks.BACKEND, "OPTIONS": entry}
        for number, entry in enumerate(options)
    }


def test_option_of_periodic_jobs_that_nobody_reads_is_found() -> None:
    with override_settings(TASKS=backends({"CRON": True}, {"CRON_LEASE": 5.0})):
        (message,) = checks.check_process_options()
    assert message.id == "django_spooler.W004"
    assert "TASKS['entry 1']['OPTIONS'] has 'CRON_LEASE'" in message.msg


def test_cron_without_a_directory_of_this_machine_is_found() -> None:
    far = {"SPOOLERS": {"default": "uwsgi://10.0.0.5:3031"}}
    with override_settings(TASKS=backends({"CRON": True, **far})):
        (message,) = checks.check_cron_directory()
    assert message.id == "django_spooler.W005"
    for options in ({"CRON": True}, far):
        with override_settings(TASKS=backends(options)):
            assert checks.check_cron_directory() == []
