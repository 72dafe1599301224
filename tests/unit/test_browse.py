"""The queue as the admin pages through it."""

import io
import os
import time
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from django.utils import timezone

from django_spooler import browse, operations, overview, redaction
from django_spooler.browse import Matching, Query
from django_spooler.consumer import Consumer
from django_spooler.exceptions import SpoolerError
from django_spooler.spool import listing
from django_spooler.spool.counts import Counts
from django_spooler.spool.place import Place
from django_spooler.spool.queue import Claimed

from . import tasks_for_tests as tasks


@pytest.fixture(autouse=True)
def spool(spool_of_two_queues):
    return spool_of_two_queues


def shown(spool, query, number=1, size=100):
    return browse.browse([spool], query, number=number, size=size)


def run_all(spool):
    """Run what is ready, once, as a spooler's process does."""
    for entry in list(overview.entries(spool, "ready")):
        place = Place.of(entry.queue, entry.priority)
        Consumer(spool, "me", io.BytesIO(), Counts(spool, "me")).consume(
            Claimed(entry.file, os.path.basename(entry.file), place)
        )


def done(spool, act, *identifiers):
    """Do it to the tasks of these ids; return those it was done to."""
    return [
        identifier
        for identifier, spool, file in operations.find([spool], identifiers)
        if act(spool, file)
    ]


def first_arguments(page):
    return [entry.args[0] for entry in page.entries]


def test_pages_follow_the_order_in_which_tasks_will_run(spool):
    for value in range(5):
        tasks.add.using(priority=value % 2).enqueue(value)
    pages = [shown(spool, Query(state="ready"), number, 2) for number in (1, 2, 3)]
    assert [value for page in pages for value in first_arguments(page)] == [1, 3, 0, 2, 4]
    assert {page.total for page in pages} == {5}
    backwards = shown(spool, Query(state="ready", backwards=True))
    assert first_arguments(backwards) == [4, 2, 0, 3, 1]
    assert first_arguments(shown(spool, Query(state="ready", by_time=True))) == [0, 1, 2, 3, 4]


def test_filters_and_words_narrow_what_is_shown(spool):
    tasks.add.enqueue(1)
    tasks.add.using(queue_name="mail").enqueue(2)
    tasks.echo.enqueue("a needle", kind="sharp")
    assert first_arguments(shown(spool, Query(queue="mail"))) == [2]
    assert first_arguments(shown(spool, Query(task=tasks.echo.module_path))) == ["a needle"]
    assert first_arguments(shown(spool, Query(text="NEEDLE sharp"))) == ["a needle"]
    assert shown(spool, Query(text="needle blunt")).total == 0
    assert shown(spool, Query(older_than=60)).total == 0
    assert shown(spool, Query(newer_than=60)).total == 3


def test_search_that_stops_early_says_what_it_read(spool, monkeypatch):
    for value in range(3):
        tasks.add.enqueue(value)
    monkeypatch.setattr(browse, "READ_SECONDS", -1.0)
    page = shown(spool, Query(text="2"))
    assert (page.is_exact, page.read) == (False, 0)


def test_count_stops_where_an_exact_one_would_need_a_full_read(spool, monkeypatch):
    for value in range(5):
        tasks.add.enqueue(value)
    monkeypatch.setattr(browse, "COUNTED", 3)
    page = shown(spool, Query(state="ready"))
    assert (page.total, page.is_exact, len(page.entries)) == (3, False, 5)
    assert browse.tabs([spool])["ready"] == 3


def test_failures_are_grouped_by_task_and_error(spool):
    for task in (tasks.fail_for_good, tasks.fail_for_good, tasks.log_in):
        task.enqueue(*(["eve", "tiger"] if task is tasks.log_in else []))
    run_all(spool)
    groups, read = browse.failures([spool])
    assert [(group.task, group.error, group.number) for group in groups] == [
        (tasks.fail_for_good.module_path, "ValueError", 2),
        (tasks.log_in.module_path, "ValueError", 1),
    ]
    assert read is None
    assert shown(spool, Query(error="ValueError", task=tasks.log_in.module_path)).total == 1


def test_redacted_argument_is_shown_nowhere(spool):
    tasks.log_in.enqueue("eve", "tiger", host="web")
    tasks.log_in.enqueue("eve", password="tiger")
    (first, second) = overview.entries(spool, "ready")
    assert (first.args, first.kwargs) == (["eve", "********"], {"host": "web"})
    assert (second.args, second.kwargs) == (["eve"], {"password": "********"})
    run_all(spool)
    for failed in overview.entries(spool, "failed"):
        assert "tiger" not in repr(failed)
    assert shown(spool, Query(text="tiger")).total == 0


def test_redacted_argument_is_hidden_where_its_task_is_not_known_too(spool, monkeypatch):
    tasks.log_in.enqueue("eve", "tiger", host="web")
    tasks.log_in.enqueue("eve", password="tiger")
    run_all(spool)
    tasks.log_in.enqueue("eve", "tiger")
    monkeypatch.setattr(redaction, "find_task", lambda name: None)
    entries = [*overview.entries(spool, "ready"), *overview.entries(spool, "failed")]
    assert [entry.args for entry in entries] == [["eve", "********"]] * 2 + [["eve"]]
    assert "tiger" not in repr(entries)


@pytest.mark.parametrize("known", [True, False])
def test_damaged_message_of_a_task_that_redacts_is_not_shown(spool, monkeypatch, known):
    tasks.log_in.enqueue("eve", "tiger")
    (entry,) = overview.entries(spool, "ready")
    Path(entry.file).write_bytes(Path(entry.file).read_bytes().replace(b'"kwargs"', b'"kwarg"'))
    if not known:
        monkeypatch.setattr(redaction, "task_names", list)
    (damaged,) = overview.entries(spool, "ready")
    assert damaged.task is None
    assert overview.detail(damaged).raw == ""


def test_task_among_many_is_found_without_reading_them_all(spool):
    ids = [tasks.add.enqueue(value).id for value in range(50)]
    time.sleep(0.002)  # so that another millisecond begins
    last = tasks.add.enqueue(50).id
    assert overview.find_file(spool, last, seconds=0.05).state == "ready"
    assert overview.find(spool, ids[20]).args == [20]
    assert overview.find(spool, "0" * 32) is None


def test_task_that_was_made_to_run_now_runs(spool):
    later = timezone.now() + timedelta(hours=1)
    assert done(spool, operations.run_now, tasks.add.using(run_after=later).enqueue(1).id)
    tasks.calls.clear()
    run_all(spool)
    assert tasks.calls == [(1, 0)]
    assert not any(list(overview.entries(spool, state)) for state in overview.STATES)


def test_only_what_is_signed_is_signed_anew_when_it_is_made_to_run_now(spool, settings):
    later = timezone.now() + timedelta(hours=1)
    forged = tasks.add.using(run_after=later).enqueue(1).id
    entry = settings.TASKS["default"]
    settings.TASKS = {"default": {**entry, "OPTIONS": {**entry["OPTIONS"], "SIGNED": True}}}
    sound = tasks.add.using(run_after=later).enqueue(2).id
    assert done(spool, operations.run_now, forged, sound) == [sound]
    assert [entry.id for entry in overview.entries(spool, "scheduled")] == [forged]
    tasks.calls.clear()
    run_all(spool)
    assert tasks.calls == [(2, 0)]


def test_waiting_tasks_are_given_another_priority(spool):
    later = timezone.now() + timedelta(hours=1)
    ids = [tasks.add.enqueue(value).id for value in range(3)]
    scheduled = tasks.add.using(run_after=later, queue_name="mail").enqueue(3).id
    raised = partial(operations.prioritize, priority=7)
    moved = done(spool, raised, ids[2], ids[1], scheduled, "0" * 32)
    assert set(moved) == {ids[1], ids[2], scheduled}
    (waiting,) = overview.entries(spool, "scheduled")
    assert (waiting.priority, waiting.queue, waiting.due) == (7, "mail", later)
    tasks.calls.clear()
    run_all(spool)
    assert tasks.calls == [(1, 0), (2, 0), (0, 0)], "by when they were enqueued"
    assert not list(overview.entries(spool, "failed"))


def test_what_runs_or_failed_keeps_its_priority(spool):
    tasks.fail_for_good.enqueue()
    run_all(spool)
    (failed,) = overview.entries(spool, "failed")
    assert done(spool, partial(operations.prioritize, priority=7), failed.id) == []
    assert [(entry.id, entry.priority) for entry in overview.entries(spool, "failed")] == [
        (failed.id, 0)
    ]


def test_priority_that_is_none_is_refused_and_nothing_moved(spool):
    waiting = tasks.add.enqueue(1).id
    with pytest.raises(SpoolerError, match="101 is no priority"):
        done(spool, partial(operations.prioritize, priority=101), waiting)
    assert [entry.priority for entry in overview.entries(spool, "ready")] == [0]


def test_what_matches_is_gone_through_in_several_goes(spool):
    later = timezone.now() + timedelta(hours=1)
    for value in range(6):
        tasks.add.using(priority=value % 3).enqueue(value)
        tasks.add.using(run_after=later, priority=value).enqueue(value + 6)
        tasks.fail_for_good.enqueue()
    run_all(spool)
    for value in range(6):
        tasks.echo.enqueue(value)
    query = Query(among=("failed", "ready", "scheduled"))
    whole = [target[0] for target in Matching([spool], query)]
    assert len(whole) == 18
    found, position = [], ""
    for _ in range(40):
        matching = Matching([spool], query, position=position)
        found += [target[0] for target in islice(matching, 2)]
        position = matching.position
    assert list(dict.fromkeys(found)) == whole
    assert set(Matching([spool], Query(text="nowhere"))) == {None}


@pytest.mark.parametrize("position", ["x", "1", "::", "-1:0:a", "1:9999999999999:a"])
def test_position_that_is_none_is_the_beginning(spool, position):
    tasks.add.enqueue(1)
    assert len(list(Matching([spool], Query(), position=position))) == 1


def test_many_tasks_are_found_by_one_listing(spool, monkeypatch):
    ids = [tasks.add.enqueue(value).id for value in range(50)]
    listed = []

    def near(spool, ids, **options):
        listed.append(spool)
        return listing.near(spool, ids, **options)

    monkeypatch.setattr(overview, "near", near)
    assert {found[0] for found in operations.find([spool], ids)} == set(ids)
    assert listed == [spool]


def test_page_is_full_though_tasks_were_taken_since_they_were_listed(spool, monkeypatch):
    for value in range(4):
        tasks.add.enqueue(value)
    listed = browse.files

    def files(*args, **options):
        found = list(listed(*args, **options))
        for file in found[:2]:
            spool.discard_waiting(file.path)
        yield from found

    monkeypatch.setattr(browse, "files", files)
    assert first_arguments(shown(spool, Query(state="ready"), size=2)) == [2, 3]


def test_task_behind_those_a_search_has_time_for_is_found_by_its_id(spool, monkeypatch):
    ids = [tasks.add.enqueue(value).id for value in range(5)]
    monkeypatch.setattr(browse, "READ_SECONDS", -1.0)
    for query in (Query(text=ids[3]), Query(text=f" {ids[3]} ", state="ready")):
        page = shown(spool, query)
        assert (first_arguments(page), page.is_exact, page.read) == ([3], False, 1)
    assert not shown(spool, Query(text=ids[3], queue="mail")).entries
    assert not shown(spool, Query(text=ids[3], state="failed")).entries


def test_listing_takes_nothing_of_the_time_a_search_reads(spool, monkeypatch):
    tasks.add.enqueue(1)

    def slow_listing(*args, **options):
        yield from listed(*args, **options)
        time.sleep(2 * browse.READ_SECONDS)

    listed = listing.files
    tasks.echo.enqueue("a needle")
    monkeypatch.setattr(browse, "files", slow_listing)
    page = shown(spool, Query(text="needle", among=("scheduled", "ready")))
    assert (first_arguments(page), page.is_exact) == (["a needle"], True)


@pytest.mark.parametrize("by_time", [False, True])
def test_age_is_kept_to_exactly(spool, by_time):
    now = time.time()
    for value, age in enumerate((50, 70, 3000, 5000)):
        tasks.add.enqueue(value)
        (entry,) = (entry for entry in overview.entries(spool, "ready") if entry.args == [value])
        os.rename(entry.file, f"{entry.file};r={int((now - age) * 1e6)}")
    tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("later")

    def ages(**asked):
        return sorted(first_arguments(shown(spool, Query(by_time=by_time, state="ready", **asked))))

    assert (ages(newer_than=60), ages(older_than=60)) == ([0], [1, 2, 3])
    assert ages(newer_than=4000, older_than=60) == [1, 2]
    assert first_arguments(shown(spool, Query(state="scheduled", newer_than=1))) == ["later"]
    assert not shown(spool, Query(state="scheduled", older_than=1)).entries
