"""``manage.py crons`` shows and steers the periodic jobs."""

import io
import json
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_spooler.cron import claims, overview, runner
from django_spooler.cron.jobs import all_jobs
from django_spooler.diagnosis import crons as diagnosis
from django_spooler.models import CronJob, CronRun

from . import crons_for_tests
from .cron_tools import ADMINS, HOUR, MAILERS, job_seen, without_tables

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forget")]


def crons(*arguments: str) -> str:
    out = io.StringIO()
    call_command("crons", *arguments, stdout=out)
    return out.getvalue()


def crons_json(*arguments: str) -> Any:
    return json.loads(crons(*arguments, "--json"))


def state_of(name: str) -> dict[str, Any]:
    (found,) = [state for state in crons_json("list") if state["job"] == name]
    return dict(found)


def fail(context: object) -> None:
    raise ValueError("no such thing")


def test_list_tells_of_each_job_how_it_stands() -> None:
    assert [state["job"] for state in crons_json("list")] == [job.name for job in all_jobs()]
    state = state_of("hourly")
    assert state["schedule"] == "every hour"
    assert state["state"] == "waiting" and state["last"] is None
    times = [datetime.fromisoformat(text) for text in state["next"]]
    assert len(times) == 5 and times[0] > datetime.now(timezone.utc)
    assert all(later - earlier == HOUR for earlier, later in pairwise(times))
    assert state_of("disabled")["state"] == "disabled" and state_of("disabled")["next"] == []


def test_list_of_one_job() -> None:
    assert [state["job"] for state in crons_json("list", "hourly")] == ["hourly"]


def test_what_acts_prints_json_too() -> None:
    assert crons_json("pause", "hourly")["state"] == "paused"
    assert crons_json("resume", "hourly")["state"] == "waiting"
    assert crons_json("run", "hourly")["outcome"] == "success"
    assert crons_json("check") == []


def test_list_is_readable() -> None:
    text = crons("list")
    assert "tests.unit.crons_for_tests.nightly  waiting" in text
    assert "At 04:30" in text and "Asia/Shanghai" in text


def test_run_runs_a_job_that_is_not_due_and_list_shows_its_outcome() -> None:
    assert "hourly succeeded" in crons("run", "hourly")
    assert [name for name, _ in crons_for_tests.ran] == ["hourly"]
    last = state_of("hourly")["last"]
    assert last["outcome"] == "success" and last["start"] and last["end"]
    assert "success for" in crons("list")


def test_run_of_a_job_that_fails_ends_with_its_error() -> None:
    crons_for_tests.acts["hourly"] = fail
    with pytest.raises(CommandError, match="hourly failed: ValueError: no such thing"):
        crons("run", "hourly")
    assert state_of("hourly")["last"]["outcome"] == "failed"


def test_run_of_a_job_that_runs_and_must_not_overlap_is_refused() -> None:
    claims.claim([job_seen("hourly", 1)], begin=True)
    with pytest.raises(CommandError, match="must not overlap"):
        crons("run", "hourly")
    assert state_of("hourly")["state"] == "running"


def test_paused_job_has_no_next_time_until_it_is_resumed() -> None:
    assert "is paused" in crons("pause", "hourly")
    assert "was paused already" in crons("pause", "hourly")
    assert state_of("hourly")["state"] == "paused" and state_of("hourly")["next"] == []
    job_seen("hourly", 3)
    list(runner.run_due())
    assert "is resumed" in crons("resume", "hourly")
    assert "was not paused" in crons("resume", "hourly")
    list(runner.run_due())
    assert crons_for_tests.ran == [] and crons_json("history", "hourly") == []


def test_history_has_one_object_a_run_with_these_keys() -> None:
    crons_for_tests.acts["hourly"] = fail
    job_seen("hourly", 2)
    list(runner.run_due())
    failed, missed = crons_json("history", "hourly")
    assert list(failed) == ["job", "slot", "node", "start", "end", "outcome", "error"]
    assert failed["outcome"] == "failed" and "no such thing" in failed["error"]
    assert datetime.fromisoformat(failed["start"]) <= datetime.fromisoformat(failed["end"])
    assert missed["outcome"] == "missed" and missed["start"] is None and missed["end"] is None
    slots = [datetime.fromisoformat(run["slot"]) for run in (missed, failed)]
    assert slots[1] - slots[0] == HOUR


def test_history_is_readable_and_bounded() -> None:
    job_seen("hourly", 3)
    list(runner.run_due())
    assert len(crons_json("history")) == 3
    assert len(crons_json("history", "--limit", "2")) == 2
    first, *others = crons("history", "hourly").splitlines()
    assert first.startswith("hourly  success for ") and len(others) == 2
    with pytest.raises(CommandError, match="1 or more"):
        crons("history", "--limit", "0")


@pytest.mark.parametrize("verb", ["list", "run", "pause", "resume", "history"])
def test_unknown_job_is_refused_with_what_may_be_meant(verb: str) -> None:
    with pytest.raises(CommandError, match="Did you mean hourly"):
        crons(verb, "hourli")


def test_database_that_is_away_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def be_away() -> None:
        raise OperationalError("connection refused\n  Is the server running?")

    monkeypatch.setattr(overview, "jobs", be_away)
    with pytest.raises(CommandError, match=r"does not answer .*: connection refused Is the server"):
        crons("list")


@pytest.mark.parametrize("command", [["crons", "list"], ["crons", "history"], ["runcrons"]])
def test_tables_that_are_missing_are_told_with_the_remedy(command: list[str]) -> None:
    out = io.StringIO()
    with without_tables():
        try:
            call_command(*command, stdout=out, stderr=out)
        except CommandError as error:
            out.write(str(error))
    assert "Run manage.py migrate" in out.getvalue()


def test_check_finds_a_slot_that_no_node_starts_and_mails_once(settings: Any) -> None:
    settings.ADMINS, settings.MAILERS = ADMINS, MAILERS
    assert "No job is late" in crons("check")
    job_seen("hourly", 2)
    for _ in range(2):
        with pytest.raises(CommandError, match="No node starts: hourly since"):
            crons("check")
    (message,) = mail.outbox
    assert "hourly has not been started" in message.subject
    assert state_of("hourly")["state"] == "late"


def test_check_finds_what_was_claimed_and_never_began() -> None:
    job = job_seen("hourly", 1)
    (run,) = claims.claim([job]).claimed
    CronRun.objects.filter(token=run.token).update(slot=run.slot - HOUR)
    with pytest.raises(CommandError, match="No node starts: hourly since"):
        crons("check")


def test_doctor_finds_what_is_late_and_changes_nothing() -> None:
    assert list(diagnosis.problems()) == []
    job_seen("hourly", 2)
    for _ in range(2):
        (problem,) = diagnosis.problems()
        assert problem.id == "cron-late" and "hourly was due at" in problem.message
    assert CronJob.objects.get(name="hourly").late is None


def test_paused_job_is_never_late() -> None:
    job_seen("hourly", 2)
    CronJob.objects.filter(name="hourly").update(paused=True)
    assert "No job is late" in crons("check")


def test_runs_are_kept_by_age_and_count(settings: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "django_spooler.backend.SpoolerBackend",
            "OPTIONS": {"CRON_HISTORY_MAX_COUNT": 5, "CRON_HISTORY_MAX_AGE": 2.5 * 3600},
        }
    }
    job_seen("complete", 8)
    list(runner.run_due())
    assert 1 <= CronRun.objects.filter(job="complete").count() <= 3
