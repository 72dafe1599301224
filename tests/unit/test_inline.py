"""Tasks outside uWSGI, by the outcome rules that hold everywhere."""

import pytest
from django.db import transaction
from django.test import override_settings

from django_spooler.compat import TaskResultStatus, task_finished, task_started
from django_spooler.signals import task_failed

from . import tasks_for_tests as tasks

OK, FAILED = TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED


def backend(**options):
    return override_settings(
        TASKS={"default": {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}}
    )


class Heard(list):
    """What a signal sent while the block ran."""

    def __init__(self, signal):
        super().__init__()
        self._signal = signal

    def _receive(self, **kwargs):
        self.append(kwargs)

    def __enter__(self):
        self._signal.connect(self._receive)
        return self

    def __exit__(self, *exc_info):
        self._signal.disconnect(self._receive)


def test_task_runs_before_enqueue_returns():
    result = tasks.add.enqueue(1, b=2)
    assert (result.status, result.return_value, result.attempts) == (OK, 3, 1)


def test_delay_is_enqueue_and_a_plain_call_is_the_function():
    assert tasks.add.delay(1, 2).return_value == tasks.add(1, 2) == 3


def test_exception_that_cannot_tell_its_message_is_a_failed_attempt_like_any():
    result = tasks.fails_without_words.enqueue()
    assert (result.status, result.attempts) == (FAILED, 2)
    assert result.errors[-1].exception_class_path.endswith("Unspeakable")


def test_coroutine_function_runs():
    assert tasks.add_async.enqueue(1, 2).return_value == 3


async def aenqueue():
    return await tasks.add.aenqueue(1, 2)


def test_aenqueue_runs():
    import asyncio

    assert asyncio.run(aenqueue()).return_value == 3


def test_arguments_of_any_name_arrive():
    named = {"body": 1, "at": 2, "priority": 3, "spooler": 4, "task": 5, "self": 6}
    assert tasks.echo.enqueue(**named).return_value == [[], named]


def test_failing_task_is_tried_again_until_it_succeeds():
    with Heard(task_started) as started, Heard(task_finished) as finished:
        result = tasks.fail_twice.enqueue()
    assert (result.status, result.return_value, len(result.errors)) == (OK, 3, 2)
    assert (len(started), len(finished)) == (1, 1)


def test_task_that_fails_for_good_is_told_once_with_its_tracebacks():
    with Heard(task_failed) as failed:
        result = tasks.fail.enqueue()
    assert result.status == FAILED
    assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
    assert "always" in result.errors[0].traceback
    (told,) = failed
    assert told["reason"] == "ValueError: always (attempt 2 of 2)"
    assert told["task_result"] is result


def test_error_reaches_the_caller_only_when_asked():
    with backend(INLINE_RAISES=True), pytest.raises(ValueError, match="always"):
        tasks.fail.enqueue()


def test_value_that_is_not_json_is_a_failure_without_a_second_try():
    with Heard(task_failed) as failed:
        result = tasks.returns_a_set.enqueue()
    assert (result.status, result.attempts) == (FAILED, 1)
    assert "what it returned cannot be kept" in failed[0]["reason"]


def test_discarded_error_ends_the_task_without_a_failure():
    with Heard(task_failed) as failed:
        result = tasks.lose_interest.enqueue()
    assert (len(result.errors), failed) == (1, [])


def test_error_that_no_retry_helps_is_not_tried_again():
    assert len(tasks.fail_for_good.enqueue().errors) == 1


def test_retry_counts_as_an_attempt():
    assert len(tasks.ask_again.enqueue().errors) == 2


def test_timeout_lets_finally_run():
    tasks.calls.clear()
    result = tasks.too_slow.enqueue()
    assert tasks.calls == ["cleaned up"]
    assert "timeout of 0.05 s" in result.errors[0].traceback


@pytest.mark.parametrize(
    ("answer", "status"), [("ok", OK), ("retry", FAILED), ("ignore", FAILED), ("other", FAILED)]
)
def test_raw_task_says_itself_how_it_ended(answer, status):
    assert tasks.raw.enqueue(answer).status == status


@pytest.mark.django_db(transaction=True)
def test_task_waits_for_the_commit():
    tasks.calls.clear()
    with transaction.atomic():
        tasks.add.enqueue(1)
        assert tasks.calls == []
    assert tasks.calls == [(1, 0)]


@pytest.mark.django_db
def test_test_case_runs_the_hooks_of_its_own_transaction(django_capture_on_commit_callbacks):
    tasks.calls.clear()
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        tasks.add.enqueue(1)
        assert tasks.calls == []
    assert (tasks.calls, len(callbacks)) == ([(1, 0)], 1)


@pytest.mark.django_db(transaction=True)
def test_rolled_back_task_never_runs():
    tasks.calls.clear()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tasks.add.enqueue(1)
        raise ZeroDivisionError
    assert tasks.calls == []


@pytest.mark.django_db(transaction=True)
def test_task_need_not_wait_for_the_commit():
    tasks.calls.clear()
    with backend(ENQUEUE_ON_COMMIT=False), transaction.atomic():
        tasks.add.enqueue(1)
        assert tasks.calls == [(1, 0)]


@pytest.mark.django_db(transaction=True)
def test_results_are_kept_in_the_database():
    with backend(RESULTS="database"):
        done, failed = tasks.echo.enqueue("\x00ä"), tasks.fail.enqueue()
        kept = tasks.echo.get_result(done.id)
        assert (kept.status, kept.return_value) == (OK, [["\x00ä"], {}])
        assert tasks.fail.get_result(failed.id).errors == failed.errors
