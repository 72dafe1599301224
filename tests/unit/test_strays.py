"""What is in our tree and none of ours: it is listed, and never deleted."""

import os
import time
from pathlib import Path

import pytest

from django_spooler import overview
from django_spooler.housekeeping import tidy
from django_spooler.processes.recovery import Recovery
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import ASTRAY, Spool
from django_spooler.spool.packet import BELL, MARK, encode
from django_spooler.spool.process import SUPERVISOR, HeldCard, new_card
from django_spooler.spool.words import open_for_last_words

OURS = "uwsgi_spoolfile_on_web1_4711_12_1804289383_1764000000_123456"
LONG_AGO = 1e9


@pytest.fixture
def announced():
    return []


@pytest.fixture
def spool(tmp_path, announced):
    spool = Spool(tmp_path, lambda name, reason: announced.append((name, reason)))
    spool.prepare()
    return spool


def put(spool: Spool, place: str, content: bytes = b"words") -> str:
    """Write a file that looks as if it were there for long."""
    path = os.path.join(spool.tree, place)
    Path(path).write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.mark.parametrize(
    "place",
    [
        "tmp/notes",
        "tmp/card-of-somebody",
        "tmp/card-web1-0123456789ab",
        "tmp/words-of-somebody",
        "tmp/bell-1",
        f"tmp/{OURS}",
        f"tmp/{OURS}.gz",
        "processes/notes",
        "processes/web1-0123456789ab",
        "paused/notes",
        "counts/notes",
        "counts/.notes",
        "counts/web1-0123456789ab",
        "notes",
    ],
)
def test_stray_file_is_listed_and_whole(spool, announced, place):
    put(spool, place)
    Counts(spool, "web1-ba9876543210").close()
    tidy(spool, max_age=None, max_count=None)
    Recovery(spool).sweep()
    (entry,) = overview.entries(spool, "failed")
    assert os.path.basename(entry.file) == os.path.basename(place)
    assert Path(entry.file).read_bytes() == b"words"
    assert announced == [(os.path.basename(place), ASTRAY)]


@pytest.mark.parametrize("place", ["tmp", "processes", "paused", "counts"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_stray_that_is_no_file_is_listed(spool, place, make):
    make(spool.path(place, "stray"))
    Recovery(spool).sweep()
    (entry,) = overview.entries(spool, "failed")
    assert "stray" in entry.file


def test_card_that_is_none_is_kept_though_something_runs_under_its_name(spool, monkeypatch):
    monkeypatch.setattr("django_spooler.processes.recovery.SUPERVISOR_PATIENCE", -1.0)
    put(spool, "processes/nobody")
    os.mkdir(spool.path("running", "nobody"))
    Recovery(spool).sweep()
    (entry,) = overview.entries(spool, "failed")
    assert Path(entry.file).read_bytes() == b"words"
    assert not os.path.exists(spool.path("running", "nobody"))


@pytest.mark.parametrize(
    "name, whole",
    [
        (OURS, encode(MARK, b'{"v":1')),
        ("bell-7", BELL),
        ("card-web1-0123456789ab", b'{"name": "we'),
    ],
)
def test_what_we_had_not_finished_is_left_and_in_the_end_removed(spool, monkeypatch, name, whole):
    for content in (b"", whole[:1], whole):
        path = put(spool, f"tmp/{name}", content)
        tidy(spool, max_age=None, max_count=None)
        assert os.path.exists(path), "its producer may be at work"
        with monkeypatch.context() as later:
            later.setattr("django_spooler.housekeeping._ABANDONED", -1.0)
            tidy(spool, max_age=None, max_count=None)
        assert not os.path.exists(path)
    assert not list(overview.entries(spool, "failed"))


def test_what_is_ours_stays(spool):
    card = HeldCard(spool, new_card(SUPERVISOR, "work", "this one"))
    spool.pause()
    spool.pause("mail")
    with open_for_last_words(spool, card.card.name):
        Recovery(spool).sweep()
        assert os.path.exists(spool.path("processes", card.card.name))
        assert spool.paused() == {";all", "mail"}
        assert len(os.listdir(spool.path("tmp"))) == 1
    card.leave()
    assert not list(overview.entries(spool, "failed"))


def test_directory_where_a_pause_mark_belongs_keeps_nobody_from_resuming(spool):
    os.mkdir(spool.path("paused", "default"))
    spool.resume()
    assert not spool.paused()
    (entry,) = overview.entries(spool, "failed")
    assert entry.reason == ASTRAY


def test_discard_deletes_what_is_listed_and_lists_what_stood_beside_it(spool):
    for name in ("first", "second"):
        put(spool, f"tmp/{name}", name.encode())
    identifier = spool.set_aside(spool.path("tmp", "first"), "reason")
    os.rename(spool.path("tmp", "second"), spool.path("failed", identifier, "second"))
    listed = Path(spool.failed_file(identifier)).name
    assert spool.discard(identifier)
    (entry,) = overview.entries(spool, "failed")
    assert {listed, Path(entry.file).name} == {"first", "second"}
    assert spool.discard(entry.id)
    assert not os.listdir(spool.path("failed"))


def test_entries_that_a_killed_process_left_empty_go(spool):
    os.makedirs(spool.path("failed", "empty"))
    spool.discard_unfinished(time.time() + 1)
    assert os.listdir(spool.path("failed")) == []


def test_of_many_failed_tasks_only_some_are_looked_at_for_what_is_unfinished(spool):
    for index in range(4000):
        put(spool, f"tmp/{index}")
        spool.set_aside(spool.path("tmp", f"{index}"), "reason")

    def look_at_all():
        for identifier in os.listdir(spool.path("failed")):
            spool.failed_file(identifier)

    assert (
        least_time(lambda: spool.discard_unfinished(time.time() + 1)) < least_time(look_at_all) / 2
    )


def least_time(look):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        look()
        times.append(time.perf_counter() - start)
    return min(times)
