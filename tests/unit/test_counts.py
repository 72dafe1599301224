"""What is counted for charts and metrics: kept over deaths and reloads, whatever stands in a file."""

import dataclasses
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from django_spooler.spool import counts
from django_spooler.spool import process as cards
from django_spooler.spool.counts import MINUTE, QUARTER, Counts, counted, points
from django_spooler.spool.directory import Spool
from django_spooler.spool.process import RUNNER, HeldCard, new_card, new_card_name

TASK = "shop.tasks.send_invoice"
fork = multiprocessing.get_context("fork")


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    spool.prepare()
    return spool


def count(process, *ends):
    for end in ends:
        process.start(TASK, 0.5)
        process.end(TASK, end, 2.0)
    process.close()


def files(spool):
    return os.listdir(spool.path("counts"))


def test_what_several_processes_count_is_one_sum(spool):
    count(Counts(spool, "one"), "succeeded", "failed")
    (there,) = files(spool)
    os.rename(spool.path("counts", there), spool.path("counts", "other"))
    card = HeldCard(
        spool, new_card(RUNNER, "work", "1", name="other")
    )  # a living one keeps its own
    count(Counts(spool, "two"), "succeeded", "retried", "discarded")
    its = counted([spool]).tasks[TASK]
    assert (its.started, its.ended) == (5, [2, 1, 1, 1])
    assert (sum(its.waited), its.waited_sum, sum(its.ran), its.ran_sum) == (5, 2.5, 5, 10.0)
    assert its.waited[counts.BOUNDS.index(0.5)] == 5
    assert sorted(files(spool)) == ["other", "two"]
    card.leave()


def test_next_process_goes_on_with_what_a_dead_one_has_counted(spool):
    for name in (names := [new_card_name() for _ in range(5)]):
        count(Counts(spool, name), "succeeded")
    assert files(spool) == [names[-1]]
    assert counted([spool]).tasks[TASK].ended == [5, 0, 0, 0]


def count_beside_a_card_of_a_later_version(directory, name, has_counted, until):
    cards.asdict = lambda card: {**dataclasses.asdict(card), "of_a_later_version": 1}
    spool = Spool(directory)
    card = HeldCard(spool, new_card(RUNNER, "work", "1", name=name))
    count(Counts(spool, name), "succeeded")
    has_counted.set()
    until.wait()
    card.leave()


def test_living_process_keeps_its_file_though_only_a_later_version_reads_its_card(spool):
    name = new_card_name()
    has_counted, is_looked_at = fork.Event(), fork.Event()
    later = fork.Process(
        target=count_beside_a_card_of_a_later_version,
        args=(spool.directory, name, has_counted, is_looked_at),
    )
    later.start()
    try:
        assert has_counted.wait(30)
        Counts(spool, new_card_name())
        assert files(spool) == [name]
    finally:
        is_looked_at.set()
        later.join()


def start_and_count(directory, name, all_are_there, all_have_counted):
    spool = Spool(directory)
    all_are_there.wait()
    _card = HeldCard(spool, new_card(RUNNER, "work", "1", name=name))  # until it dies
    count(Counts(spool, name), "succeeded")
    all_have_counted.wait()  # a dead one's file would be taken over
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_start_at_once_take_over_what_is_there_once(spool):
    for number in range(1, 26):
        barriers = fork.Barrier(4), fork.Barrier(4)
        processes = [
            fork.Process(target=start_and_count, args=(spool.directory, new_card_name(), *barriers))
            for _ in range(4)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert counted([spool]).tasks[TASK].started == 4 * number


def take_over_and_over(directory, until):
    spool = Spool(directory)
    while not until.is_set():
        Counts(spool, new_card_name())


def test_reader_sees_each_count_once_while_files_are_taken_over(spool):
    count(Counts(spool, new_card_name()), "succeeded")
    seen_enough = fork.Event()
    process = fork.Process(target=take_over_and_over, args=(spool.directory, seen_enough))
    process.start()
    try:
        found = {counted([spool]).tasks[TASK].started for _ in range(500)}
    finally:
        seen_enough.set()
        process.join()
    assert found == {1}


@pytest.mark.parametrize(("length", "number"), [(MINUTE, 61), (QUARTER, 97)])
def test_chart_has_a_point_for_each_slot_and_forgets_what_is_older(
    spool, monkeypatch, length, number
):
    process, now = Counts(spool, "one"), 1_800_000_000.0
    for slot in (-number, 1 - number, -1, 0):
        monkeypatch.setattr(time, "time", lambda at=now + slot * length: at)
        count(process, "succeeded", "failed")
    found = points([spool], length)
    assert len(found) == number
    busy = [point for point in found if point.started]
    assert [point.at for point in busy] == [now + slot * length for slot in (1 - number, -1, 0)]
    assert {(point.succeeded, point.failed, point.waited) for point in busy} == {(1, 1, 0.5)}
    assert found[1].waited is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"v":1}',
        '{"v":2,"tasks":{},"slots":{"60":{},"900":{}}}',
        '{"v":1,"tasks":{"x":{"started":NaN}},"slots":{"60":{},"900":{}}}',
        '{"v":1,"tasks":{"x":{"evil":1}},"slots":{"60":{},"900":{}}}',
        '{"v":1,"tasks":{},"slots":{"60":{"1":[1,2]},"900":{}}}',
        '{"v":1,"tasks":{},"slots":{"60":{"x":[0,0,0,0,0,0]},"900":{}}}',
        '{"v":1,"tasks":{},"slots":{"60":{"1":[0,0,0,0,0,1e999]},"900":{}}}',
    ],
)
def test_file_of_somebody_else_is_passed_over(spool, content):
    count(Counts(spool, "one"), "succeeded")
    card = HeldCard(spool, new_card(RUNNER, "work", "1", name="one"))
    for name in ("foreign", ".foreign"):
        with open(spool.path("counts", name), "w") as file:
            file.write(content)
    os.mkfifo(spool.path("counts", "fifo"))
    os.mkdir(spool.path("counts", "directory"))
    assert counted([spool]).tasks[TASK].started == 1
    count(Counts(spool, "two"), "succeeded")
    assert counted([spool]).tasks[TASK].started == 2
    card.leave()


def test_slots_of_a_time_to_come_are_dropped(spool):
    count(Counts(spool, "one"), "succeeded")
    path = spool.path("counts", "one")
    content = json.loads(Path(path).read_text())
    content["slots"]["60"]["9" * 30] = [1, 1, 0, 0, 0, 0]
    with open(path, "w") as file:
        json.dump(content, file)
    count(Counts(spool, "two"), "succeeded")
    assert len(json.loads(Path(spool.path("counts", "two")).read_text())["slots"]["60"]) <= 2


def test_directory_that_refuses_the_file_is_told_once(spool, caplog):
    os.rmdir(spool.path("counts"))
    with open(spool.path("counts"), "w"):
        pass
    process = Counts(spool, "one")
    count(process, "succeeded")
    count(process, "succeeded")
    assert [record.message[:30] for record in caplog.records] == ["The counts cannot be kept for "]
    os.unlink(spool.path("counts"))
    count(process, "succeeded")
    assert counted([spool]).tasks[TASK].started == 3
