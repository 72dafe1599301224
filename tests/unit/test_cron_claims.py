"""Each slot is decided on once, and what becomes of it is what the job asks for."""

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from django_spooler import overview
from django_spooler.cron import claims, functions, periodic
from django_spooler.cron.schedule import crontab
from django_spooler.exceptions import LeaseLost
from django_spooler.instants import EPOCH
from django_spooler.models import CronJob, CronRun
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import id_time

from . import crons_for_tests
from .cron_tools import HOUR, expire, job_seen

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("forget")]


def outcomes(name: str) -> list[str]:
    return [run.outcome for run in CronRun.objects.filter(job=name).order_by("slot", "attempt")]


def test_slot_is_claimed_once() -> None:
    job = job_seen("hourly", 1)
    (run,) = claims.claim([job], begin=True).claimed
    assert claims.claim([job], begin=True).claimed == []
    functions.run(job, run)
    assert claims.claim([job], begin=True).claimed == []
    assert crons_for_tests.ran == [("hourly", run.slot)]
    assert outcomes("hourly") == ["success"]


def test_job_begins_with_the_slot_after_it_was_first_seen() -> None:
    job = job_seen("hourly", 0)
    assert claims.claim([job]).claimed == []


def test_job_whose_row_was_deleted_goes_on() -> None:
    for _ in range(2):
        job = job_seen("hourly", 1)
        CronRun.objects.filter(job="hourly").update(slot=EPOCH)
        (run,) = claims.claim([job], begin=True).claimed
        functions.run(job, run)
        CronJob.objects.filter(name="hourly").delete()
    assert sorted(CronRun.objects.values_list("token", flat=True)) == [1, 2]


def test_changed_schedule_makes_nothing_late() -> None:
    job = job_seen("hourly", 0)
    CronJob.objects.filter(name="hourly").update(slot=EPOCH, schedule="every year")
    claims.introduce([job])
    found = claims.claim([job])
    assert found.missed == [] and len(found.claimed) <= 1  # one, in the first minute of an hour


def test_schedule_of_many_words_is_kept_as_far_as_there_is_room() -> None:
    minutes = ",".join(map(str, range(0, 60, 2)))
    hours = ",".join(map(str, range(0, 24, 2)))
    job = replace(job_seen("hourly", 0), schedule=crontab(f"{minutes} {hours} * * *", "UTC"))
    claims.introduce([job])
    claims.introduce([job])
    assert 0 < len(CronJob.objects.get(name="hourly").schedule) <= 500


def test_missed_slots_are_recorded_and_the_latest_is_run() -> None:
    job = job_seen("hourly", 4)
    (run,) = claims.claim([job], begin=True).claimed
    functions.run(job, run)
    assert outcomes("hourly") == ["missed", "missed", "missed", "success"]


def test_all_missed_slots_are_run_oldest_first() -> None:
    job = job_seen("complete", 3)
    while claimed := claims.claim([job], begin=True).claimed:
        (run,) = claimed
        functions.run(job, run)
    slots = [slot for _, slot in crons_for_tests.ran]
    assert len(slots) == 3 and slots == sorted(slots)
    assert outcomes("complete") == ["success"] * 3


def test_no_missed_slot_is_run_where_that_is_asked_for() -> None:
    job = job_seen("forgetful", 3)
    minute = datetime.now(timezone.utc).minute
    claimed = claims.claim([job], begin=True).claimed
    assert len(claimed) == (minute == 0)
    assert outcomes("forgetful")[:2] == ["missed", "missed"]


def test_slot_that_comes_due_while_the_job_runs_is_skipped() -> None:
    job = job_seen("hourly", 2)
    (run,) = claims.claim([job], begin=True).claimed
    CronRun.objects.filter(job="hourly", slot__lt=run.slot).delete()
    CronRun.objects.filter(job="hourly", token=run.token).update(
        slot=run.slot - HOUR, start=run.slot - 2 * HOUR
    )
    CronJob.objects.filter(name="hourly").update(slot=run.slot - HOUR)
    assert claims.claim([job], begin=True).claimed == []
    assert "skipped" in outcomes("hourly")


def test_queued_slot_waits_for_the_run_before_it() -> None:
    job = job_seen("queued", 1)
    (first,) = claims.claim([job], begin=True).claimed
    CronRun.objects.filter(token=first.token).update(
        slot=first.slot - HOUR, start=first.slot - HOUR
    )
    CronJob.objects.filter(name="queued").update(slot=first.slot - HOUR)
    assert claims.claim([job], begin=True).claimed == []
    functions.run(job, first)
    (second,) = claims.claim([job], begin=True).claimed
    assert second.slot == first.slot


def test_slots_of_a_job_that_may_overlap_run_at_a_time() -> None:
    job = job_seen("parallel", 1)
    (first,) = claims.claim([job], begin=True).claimed
    CronJob.objects.filter(name="parallel").update(slot=first.slot - HOUR)
    CronRun.objects.filter(token=first.token).update(slot=first.slot - HOUR)
    (second,) = claims.claim([job], begin=True).claimed
    assert second.slot == first.slot
    assert outcomes("parallel") == ["running", "running"]


def test_dead_run_is_taken_over_for_the_same_slot_and_cannot_settle() -> None:
    job = job_seen("hourly", 1)
    (dead,) = claims.claim([job], begin=True).claimed
    assert claims.candidates([job])[1] == []
    expire("hourly")
    assert claims.candidates([job])[1] == [job]
    found = claims.claim([job], begin=True)
    assert [run.token for run in found.died] == [dead.token]
    (run,) = found.claimed
    assert run.slot == dead.slot and run.attempt == 2
    with pytest.raises(LeaseLost, match="not heard of"):
        functions.run(job, dead)
    functions.run(job, run)
    assert outcomes("hourly") == ["died", "success"]


def test_slot_whose_runs_die_is_given_up_after_three() -> None:
    job = job_seen("hourly", 1)
    for _ in range(3):
        assert len(claims.claim([job], begin=True).claimed) == 1
        expire("hourly")
    assert claims.claim([job], begin=True).claimed == []
    assert outcomes("hourly") == ["died"] * 3


def test_claim_that_never_began_is_taken_over_without_a_death() -> None:
    job = job_seen("hourly", 1)
    (first,) = claims.claim([job]).claimed
    expire("hourly")
    (second,) = claims.claim([job]).claimed
    assert first.token == second.token
    functions.run(job, second)
    with pytest.raises(LeaseLost):
        functions.run(job, first)
    assert outcomes("hourly") == ["success"]
    assert len(crons_for_tests.ran) == 1


def test_claim_that_waits_for_a_process_goes_to_a_node_that_has_one() -> None:
    job = job_seen("hourly", 1)
    (waiting,) = claims.claim([job], room=0).claimed
    expire("hourly")
    assert claims.claim([job], room=0).claimed == []
    (taken,) = claims.claim([job], room=1).claimed
    assert (taken.slot, taken.token) == (waiting.slot, waiting.token)


def test_slot_that_failed_can_be_run_again_by_hand() -> None:
    job = job_seen("hourly", 1)
    crons_for_tests.acts["hourly"] = fail
    (failed,) = claims.claim([job], begin=True).claimed
    functions.run(job, failed)
    again = claims.claim_now(job, slot=failed.slot)
    assert again is not None and (again.slot, again.attempt) == (failed.slot, 2)
    assert claims.claim_now(job, slot=failed.slot) is None  # it is about to run


@pytest.mark.parametrize("fails", [False, True])
def test_second_task_for_a_run_does_not_run_it_again(fails: bool) -> None:
    if fails:
        crons_for_tests.acts["hourly"] = fail
    job = job_seen("hourly", 1)
    (run,) = claims.claim([job]).claimed
    for _ in range(2):
        periodic.hand_over(job, run)
    assert outcomes("hourly") == ["failed" if fails else "success"]
    assert len(crons_for_tests.ran) == 1


def test_id_of_a_handed_over_run_tells_its_time_as_that_of_any_task(
    spool_of_two_queues: Spool,
) -> None:
    job, begun = job_seen("hourly", 1), time.time()
    (run,) = claims.claim([job]).claimed
    periodic.hand_over(job, run)
    (task,) = overview.entries(spool_of_two_queues, "ready")
    assert task.queue == "cron" and task.args == ["hourly", run.token]
    assert begun - 0.001 <= (id_time(task.id) or 0.0) <= time.time()


def fail(context: object) -> None:
    raise ValueError("no such thing")


def test_failed_run_is_tried_again_only_where_that_is_asked_for() -> None:
    for name, attempts in (("hourly", 1), ("stubborn", 3)):
        crons_for_tests.acts[name] = fail
        job = job_seen(name, 1)
        while claimed := claims.claim([job], begin=True).claimed:
            error = functions.run(job, claimed[0])
            assert isinstance(error, ValueError)
            CronRun.objects.filter(job=name, expires__isnull=False).update(
                expires=datetime(2020, 1, 1, tzinfo=timezone.utc)
            )
        assert outcomes(name) == ["failed"] * attempts
        assert "no such thing" in CronRun.objects.filter(job=name)[0].error


def test_paused_job_lets_its_slots_go() -> None:
    job = job_seen("hourly", 2)
    CronJob.objects.filter(name="hourly").update(paused=True)
    assert claims.claim([job]).claimed == []
    CronJob.objects.filter(name="hourly").update(paused=False)
    assert claims.claim([job]).claimed == []
    assert outcomes("hourly") == []


def test_look_tells_when_a_run_has_to_be_looked_at() -> None:
    job = job_seen("hourly", 1)
    assert claims.look()[1] is None
    claims.claim([job], begin=True)
    moment, first = claims.look()
    assert first is not None
    assert timedelta(seconds=50) < first - moment <= timedelta(seconds=60)
