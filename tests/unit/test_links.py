"""A symbolic link in the tree leads nowhere: what it points to is not ours to move."""

import os

import pytest

from django_spooler.spool.directory import Spool
from django_spooler.spool.queue import ReadyQueue
from django_spooler.spool.schedule import Schedule
from django_spooler.spool.watch import new_watcher


@pytest.fixture
def others_file(tmp_path):
    file = tmp_path / "others" / "100" / "1" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    os.utime(file, (0, 0))
    return file


@pytest.mark.parametrize("state", ["ready", "scheduled"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_link_is_set_aside_and_its_target_left_alone(tmp_path, others_file, state, depth):
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    os.mkdir(spool.path("running", "me"))
    place, target = spool.path(state, *("100",) * depth), others_file.parents[2 - depth]
    os.makedirs(place, exist_ok=True)
    os.symlink(target, os.path.join(place, "7"))
    watcher = new_watcher()
    Schedule(spool, watcher).make_due_ready()
    assert ReadyQueue(spool, watcher, spool.path("running", "me")).claim() is None or depth == 2
    watcher.close()
    assert others_file.read_text() == "precious"
