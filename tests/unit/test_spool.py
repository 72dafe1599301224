"""The spool directory: moves between states, and what a hostile file cannot do."""

import contextlib
import errno
import os
import tempfile
import time
from pathlib import Path

import pytest

from django_spooler import message, overview
from django_spooler.conf import queue_problem
from django_spooler.envelope import parse
from django_spooler.exceptions import (
    DamagedTask,
    NewerTask,
    SpoolUnavailable,
    UnreadableTask,
    UntrustedTask,
)
from django_spooler.spool.directory import Draft, Spool
from django_spooler.spool.files import StillWritten, read_settled
from django_spooler.spool.names import TaskName
from django_spooler.spool.packet import encode
from django_spooler.spool.place import Place, claimed_name, has_room
from django_spooler.spool.queue import ReadyQueue
from django_spooler.spool.schedule import Schedule
from django_spooler.spool.watch import new_watcher

MESSAGE = message.Message(
    id="a1",
    task="shop.tasks.f",
    args=[1, "ä\ud800", None, 2**70],
    kwargs={"body": {"x": [1.5]}},
    queue="default",
    priority=0,
    backend="default",
    enqueued_at=1.5,
)
CONTENT = encode({}, message.encode(MESSAGE, signed=False))


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    spool.prepare()
    return spool


@pytest.fixture
def watcher():
    watcher = new_watcher()
    yield watcher
    watcher.close()


@pytest.fixture
def queue(spool, watcher):
    running = spool.path("running", "me")
    os.mkdir(running)
    return ReadyQueue(spool, watcher, running)


def publish(spool, priority=0, **kwargs):
    return os.path.basename(spool.publish(CONTENT, Place.of("default", priority), **kwargs))


def test_higher_priority_first_then_oldest(spool, queue):
    low, first, second, high = [publish(spool, priority) for priority in (-5, 0, 0, 50)]
    assert [queue.claim().name for _ in range(4)] == [high, first, second, low]
    assert queue.claim() is None


def test_file_that_a_listing_misses_is_not_overtaken_by_the_next_one(spool, queue, monkeypatch):
    """ext4 lists by hash: what comes in meanwhile is shown behind the reader's place only."""
    names = [publish(spool)]
    listed = os.scandir

    def list_and_show_only_the_last_newcomer(path):
        entries = list(listed(path))
        names.extend(publish(spool) for _ in range(2))
        entries += [entry for entry in listed(path) if entry.name == names[-1]]
        monkeypatch.undo()
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, "scandir", list_and_show_only_the_last_newcomer)
    assert [queue.claim().name for _ in range(3)] == names


def test_file_that_came_back_under_another_name_is_claimed_at_the_next_look(spool, queue):
    _, second = publish(spool), publish(spool)
    queue.claim()
    directory = spool.path("ready", "default", "100")
    os.rename(f"{directory}/{second}", f"{directory}/{second};c=1")
    queue.note_changes({directory})
    assert queue.claim().name == f"{second};c=1"
    assert queue.claim() is None


def leave_something_everywhere(spool):
    """Let each state have a file, as a shell beside the spoolers may."""
    publish(spool)
    publish(spool, due=time.time() + 60)
    spool.set_aside(spool.publish(CONTENT, Place.of("default", 1)), "because", identifier="a1")
    spool.pause("default")


def test_tree_is_its_users_and_their_groups(tmp_path):
    spool = Spool(tmp_path / "spool")
    leave_something_everywhere(spool)
    for path in Path(spool.directory).rglob("*"):
        expected = 0o750 if path.is_dir() else 0o640
        assert path.stat().st_mode & 0o777 == expected, path


@pytest.mark.applies_if(os.geteuid() == 0)
def test_what_root_leaves_belongs_to_whom_the_directory_belongs(spool):
    for path in [spool.directory, *Path(spool.directory).rglob("*")]:
        os.chown(path, 65534, 65533)
    leave_something_everywhere(spool)
    spool.retry("a1")
    for path in Path(spool.directory).rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533), path


def test_directory_that_refuses_a_file_is_named(spool):
    refusing = Path(spool.path("ready", "default", "100"))
    refusing.parent.mkdir()
    refusing.touch()
    with pytest.raises(SpoolUnavailable, match=str(refusing)):
        publish(spool)


def test_paused_queue_is_not_claimed_from(spool, queue):
    publish(spool)
    spool.pause("default")
    assert queue.claim() is None
    spool.resume("default")
    queue.note_changes({spool.path("paused")})
    assert queue.claim()


def test_scheduled_file_becomes_ready_at_its_time(spool, queue, watcher, monkeypatch):
    schedule = Schedule(spool, watcher)
    due = time.time() + 50
    publish(spool, due=due)
    schedule.make_due_ready()
    assert queue.claim() is None
    assert time.time() < schedule.next_due() <= due
    monkeypatch.setattr(time, "time_ns", lambda: int((due + 0.001) * 1e9))
    schedule.make_due_ready()
    queue.note_changes({spool.path("ready")})
    assert queue.claim()


def test_what_waits_for_later_is_not_listed_while_more_comes_in(spool, queue, watcher, monkeypatch):
    schedule = Schedule(spool, watcher)
    publish(spool, due=time.time() + 86400)
    schedule.make_due_ready()
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"{path} is listed"))
    for day in range(2, 9):
        publish(spool, due=time.time() + day * 86400)
        schedule.note_changes(watcher.changed())
        schedule.make_due_ready()
    now = publish(spool, due=time.time())
    schedule.note_changes(watcher.changed())
    schedule.make_due_ready()
    monkeypatch.undo()
    assert queue.claim().task_name.base == now


def test_minute_is_asked_for_when_it_begins(spool, queue, watcher, monkeypatch):
    schedule = Schedule(spool, watcher)
    later = time.time() + 60
    name = publish(spool, due=later)
    schedule.make_due_ready()
    assert schedule.next_due() <= later
    monkeypatch.setattr(time, "time_ns", lambda: int((later + 0.001) * 1e9))
    schedule.make_due_ready()
    assert queue.claim().task_name.base == name


def test_minute_whose_directory_another_process_removed_is_over(spool, watcher, monkeypatch):
    schedule = Schedule(spool, watcher)
    directory = Path(spool.directory, Place.of("default", 0).scheduled(time.time()))
    directory.mkdir(parents=True)
    schedule.make_due_ready()
    directory.rmdir()
    schedule.note_changes(watcher.changed())
    later = time.time() + 600
    monkeypatch.setattr(time, "time", lambda: later)
    assert schedule.make_due_ready() is False


def test_scheduled_name_that_is_none_of_ours_is_kept_whole(spool, queue, watcher):
    directory = Path(spool.directory, Place.of("default", 0).scheduled(time.time()))
    directory.mkdir(parents=True)
    (directory / "foreign;r=5").write_bytes(CONTENT)
    Schedule(spool, watcher).make_due_ready()
    assert queue.claim().task_name.base == "foreign;r=5"


def test_files_due_at_the_same_time_become_ready_oldest_first(spool, queue, watcher):
    due = time.time()
    names = [publish(spool, due=due) for _ in range(12)]  # "_10_" sorts before "_9_"
    Schedule(spool, watcher).make_due_ready()
    assert [queue.claim().name.partition(";")[0] for _ in names] == names


def test_failed_file_keeps_content_and_name_and_can_be_put_back(spool, queue):
    name = publish(spool)
    claimed = queue.claim()
    identifier = spool.set_aside(
        claimed.path, "because", identifier="a1", place=claimed.place, name=claimed.name
    )
    (entry,) = overview.entries(spool, "failed")
    assert (entry.id, entry.reason) == (identifier, "because") == ("a1", "because")
    assert os.path.basename(entry.file) == name
    with open(entry.file, "rb") as file:
        assert file.read() == CONTENT
    assert spool.retry("a1")
    assert list(overview.entries(spool, "failed")) == []
    queue.note_changes({spool.path("ready", "default", "100")})
    assert queue.claim().task_name.base == name


@pytest.mark.parametrize("identifier", ["", ".", "..", "../ready", "a/b", "unknown"])
def test_no_id_leads_out_of_failed(spool, identifier):
    publish(spool)
    assert not spool.retry(identifier)
    assert not spool.discard(identifier)
    assert len(list(overview.entries(spool, "ready"))) == 1


def test_name_of_255_bytes_can_be_set_aside(spool):
    path = os.path.join(spool.directory, "x" * 255)
    os.mkfifo(path)
    spool.set_aside(path, "a FIFO")
    (entry,) = overview.entries(spool, "failed")
    assert os.path.basename(entry.file) == "x" * 255


@pytest.mark.parametrize("length", [40, 200, 215, 236, 255])
@pytest.mark.parametrize("start", ["", "uwsgi_spoolfile_on_", "\udcff"])
def test_file_of_any_name_keeps_it_on_its_way_and_after_a_retry(spool, queue, start, length):
    """One that had no room for what is noted in names was called otherwise, and nobody found it."""
    name = start.ljust(length - 2 * (start == "\udcff"), "x")
    directory = spool.path("ready", "default", "100")
    os.makedirs(directory)
    Path(directory, name).write_bytes(CONTENT)
    for _ in range(2):
        if claimed := queue.claim():
            spool.set_aside(claimed.path, "because", place=claimed.place, name=claimed.name)
        (entry,) = overview.entries(spool, "failed")
        assert name in os.path.basename(entry.file)
        assert Path(entry.file).read_bytes() == CONTENT
        assert spool.retry(entry.id)
        queue.relist()


def test_stray_file_keeps_its_name_where_a_retry_has_no_place_for_it(spool):
    name = "x" * 255
    Path(spool.directory, name).write_bytes(b"")
    identifier = spool.set_aside(os.path.join(spool.directory, name), "a stray")
    assert spool.retry(identifier)
    (entry,) = overview.entries(spool, "failed")
    assert (os.path.basename(entry.file), entry.reason) == (name, "a stray")


def test_longest_name_of_ours_has_room_in_the_longest_queue():
    base = f"uwsgi_spoolfile_on_{'h' * 64}_4194304_{2**31}_{2**31}_{2**34}_999999"
    assert queue_problem("q" * 64) is None
    assert queue_problem("q" * 65)
    assert has_room(claimed_name(Place("q" * 64, 200), base))


def test_two_files_of_one_name_keep_it_both(spool):
    publish(spool)
    paths = [os.path.join(spool.directory, part, "same") for part in ("1", "2")]
    for path in paths:
        os.mkdir(os.path.dirname(path))
        Path(path).write_bytes(CONTENT)
        spool.make_ready(path, TaskName("same"), Place("default", 100))
    names = os.listdir(spool.path("ready", "default", "100"))
    assert sum("same" in name for name in names) == 2


def test_directory_that_takes_nothing_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnavailable, match="correct the path"):
        Spool(tmp_path / "file").publish(CONTENT, Place("default", 100))


def test_task_that_was_claimed_before_the_others_were_refused_counts_as_accepted(
    spool, queue, monkeypatch
):
    """It runs, so whoever is told that it was not queued would have it run twice."""
    os.unlink(spool.publish(CONTENT, Place.of("default", 0)))

    def claim_and_refuse(*args):
        monkeypatch.undo()
        assert queue.claim()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "mkdir", claim_and_refuse)
    places = [Place.of("default", priority) for priority in (0, 0, 0, 7)]
    with pytest.raises(SpoolUnavailable) as refusal:
        spool.publish_together([Draft(CONTENT, place, None) for place in places])
    assert refusal.value.accepted == 1
    assert not os.listdir(os.path.join(spool.directory, places[0].ready))


def test_way_through_a_directory_that_may_not_be_read_is_on_the_disk_too(monkeypatch):
    """With FSYNC the parent of a spool directory is synced; one that is closed refused the task."""
    synced = []
    monkeypatch.setattr(os, "sync", lambda: synced.append("everything"))
    with unprivileged(), tempfile.TemporaryDirectory() as parent:
        spool = Spool(os.path.join(parent, "spool"))
        os.chmod(parent, 0o300)
        spool.publish(CONTENT, Place("default", 100), fsync=True)
        assert synced == ["everything"]
        os.chmod(parent, 0o700)
        spool.publish(CONTENT, Place("default", 99), fsync=True)
        assert synced == ["everything"]


@contextlib.contextmanager
def unprivileged():
    """Be a user whom permissions bind."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_file_that_is_finished_while_it_is_read_is_not_damaged(tmp_path):
    path = tmp_path / "file"
    path.touch()

    def read_just_before_the_producer_writes(path):
        content = Path(path).read_bytes()
        Path(path).write_bytes(CONTENT)
        return parse(content, signed=False)

    assert read_settled(str(path), read_just_before_the_producer_writes) == (MESSAGE, [])


def test_empty_file_is_given_time(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(StillWritten):
        read_settled(str(path), lambda path: parse(Path(path).read_bytes(), signed=False))


def test_message_arrives_as_it_left():
    assert parse(CONTENT, signed=False) == (MESSAGE, [])


@pytest.mark.parametrize("length", range(len(CONTENT)))
def test_cut_file_is_damaged(length):
    with pytest.raises(DamagedTask):
        parse(CONTENT[:length], signed=False)


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b'{"v":1}\n',
        b'{"v":true}\n',
        b'{"v":1,"id":1}\n',
        b'{"v":1,"task":NaN}\n',
        b"\xff\xfe\n",
        b"null\n",
    ],
)
def test_line_that_is_no_message_is_damaged(line):
    with pytest.raises(UnreadableTask):
        parse(encode({}, line), signed=False)


def test_newer_message_says_what_to_do():
    with pytest.raises(NewerTask, match="upgrade, then retry"):
        parse(encode({}, b'{"v":2}\n'), signed=False)


def test_signature_is_asked_for_and_covers_the_line(settings):
    line = message.encode(MESSAGE, signed=True)
    assert message.decode(line, signed=True) == MESSAGE
    for forged in (line.replace(b"shop", b"evil"), message.encode(MESSAGE, signed=False)):
        with pytest.raises(UntrustedTask):
            message.decode(forged, signed=True)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert message.decode(line, signed=True) == MESSAGE
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(UntrustedTask):
        message.decode(line, signed=True)
