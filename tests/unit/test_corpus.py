"""Each file of ``tests/corpus``, one for every way of being wrong, ends in ``failed``, unharmed.

It is played back as a file that another program put among the ready ones, and as one in the
directory that uWSGI scans. All but the broken ones name ``os.system``.
"""

import io
import os
from functools import partial
from pathlib import Path

import pytest

from django_spooler import overview
from django_spooler.consumer import Consumer, adopt
from django_spooler.envelope import parse
from django_spooler.exceptions import UnreadableTask
from django_spooler.spool.counts import Counts
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import PREFIX
from django_spooler.spool.queue import ReadyQueue
from django_spooler.spool.scanned import ScannedDirectory
from django_spooler.spool.watch import new_watcher

CORPUS = sorted(Path(__file__).parents[1].joinpath("corpus").iterdir())
every_file = pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)


@every_file
@pytest.mark.parametrize("way", ["ready/default/100", ".."])
def test_file_is_not_run_and_kept(tmp_path, monkeypatch, file, way):
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("hostile code was run"))
    spool = Spool(tmp_path)
    spool.prepare()
    path = Path(spool.path(way, PREFIX + file.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.read_bytes())
    os.utime(path, (0, 0))  # an empty one is given time
    ScannedDirectory(
        spool, lambda variables: "foreign", partial(adopt, spool), ordered=True
    ).sweep()
    run_all(spool)
    (entry,) = overview.entries(spool, "failed")
    assert entry.reason
    assert file.name in os.path.basename(entry.file)
    assert Path(entry.file).read_bytes() == file.read_bytes()


def run_all(spool: Spool) -> None:
    """Do what a runner does with all that is ready."""
    watcher, running = new_watcher(), spool.path("running", "me")
    os.mkdir(running)
    queue = ReadyQueue(spool, watcher, running)
    consumer = Consumer(spool, "me", io.BytesIO(), Counts(spool, "me"))
    while claimed := queue.claim():
        consumer.consume(claimed)
    watcher.close()


@every_file
def test_file_is_untrusted_where_signatures_are_asked_for(file):
    with pytest.raises(UnreadableTask):
        parse(file.read_bytes(), signed=True)


def test_whole_file_among_them_is_one_that_would_run_if_the_site_had_the_task():
    """Else the others might be refused for a reason they all share."""
    (whole,) = (file for file in CORPUS if file.name == "task-unknown")
    assert parse(whole.read_bytes(), signed=False)[0].task == "os.system"


def test_version_is_a_whole_number_and_none_that_equals_it():
    for file in CORPUS:
        if file.name.startswith("version-"):
            with pytest.raises(UnreadableTask):
                parse(file.read_bytes(), signed=False)
