"""What a quick look from outside finds: rights, mounts, cards, and tasks that stand where they are."""

import os
from pathlib import Path

import pytest

from django_spooler.diagnosis import machine, problems
from django_spooler.diagnosis.machine import UwsgiProcess, file_system
from django_spooler.processes.identity import package_version
from django_spooler.spool.directory import Spool
from django_spooler.spool.names import TaskName
from django_spooler.spool.place import Place
from django_spooler.spool.process import RUNNER, SPOOLER, SUPERVISOR, HeldCard, new_card

from . import tasks_for_tests as tasks

PLACE = Place.of("default", 0)

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:40 / /srv rw,relatime shared:1 - nfs4 nas:/srv rw
41 22 0:41 / /srv/my\\040site rw - tmpfs tmpfs rw
42 22 0:42 / /srv/my\\040site rw - xfs /dev/vdb rw
"""


@pytest.fixture
def mounts(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return str(path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/srvice", "ext4"), ("/srv/spool", "nfs4"), ("/srv/my site/spool", "xfs")],
)
def test_file_system_is_that_of_the_nearest_mount(mounts, path, kind):
    assert file_system(path, mounts) == kind


def test_machine_that_tells_nothing_is_left_alone():
    assert file_system("/", "/no/such/file") is None


def status(mode, uid=1, gid=1):
    return os.stat_result((mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("uid", "groups", "mode", "may"),
    [
        (0, {0}, 0o000, True),
        (1, {9}, 0o700, True),
        (1, {9}, 0o077, False),
        (2, {1}, 0o770, True),
        (2, {1}, 0o707, False),
        (2, {9}, 0o770, False),
        (2, {9}, 0o777, True),
        (2, {9}, 0o772, False),
    ],
)
def test_rights_of_another_process(uid, groups, mode, may):
    process = UwsgiProcess(1, "/", uid, frozenset(groups))
    assert process.may_write(status(mode)) is may


def test_network_file_system_and_foreign_user_are_told(settings, tmp_path, monkeypatch):
    """Neither can be had in a test: no server of such a file system, no second user."""
    directory = os.path.realpath(tmp_path)
    backend = {
        "BACKEND": "django_spooler.backend.SpoolerBackend",
        "OPTIONS": {"SPOOLERS": {"default": directory}},
    }
    settings.TASKS = {"default": backend}
    tmp_path.chmod(0o755)
    uwsgi = UwsgiProcess(77, directory, 65534, frozenset({65534}))
    monkeypatch.setattr(machine, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(machine, "uwsgi_processes", lambda directory=None: iter([uwsgi]))
    found = {problem.id: problem for problem in problems()}
    assert "(nfs4)" in found["network-file-system"].message
    assert "uWSGI's spooler 77" in found["not-writable"].message
    assert found["not-writable"].hint == f"chown -R {machine.user_name(65534)} {directory}"
    assert found.keys() == {"network-file-system", "not-writable"}


@pytest.fixture
def spool(settings, tmp_path):
    options = {"SPOOLERS": {"default": tmp_path}, "OUTSIDE_UWSGI": "spool"}
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": backend}
    tmp_path.chmod(0o750)
    spool = Spool(tmp_path)
    spool.prepare()
    return spool


@pytest.fixture
def served(spool):
    """Be a process that runs the directory's tasks."""
    card = HeldCard(spool, new_card(RUNNER, "work", "1"))
    yield spool
    card.leave()


def found():
    return {problem.id: problem.message for problem in problems()}


def enqueued(spool):
    tasks.add.enqueue(1)
    (file,) = Path(spool.path("ready")).rglob("uwsgi_*")
    return file


def test_directory_that_is_served_has_no_problem(served):
    enqueued(served)
    assert found() == {}


def test_site_without_a_directory_is_told(settings):
    settings.TASKS = {"default": {"BACKEND": "django_spooler.backend.SpoolerBackend"}}
    del settings.BASE_DIR
    assert "have no BASE_DIR" in found()["no-directory"]


def test_site_whose_urls_cannot_be_loaded_is_looked_at_all_the_same(served, settings):
    settings.ROOT_URLCONF = "no.such.module"
    served.set_aside(str(enqueued(served)), "UnknownTask: gone", task="shop.tasks.gone")
    assert found().keys() == {"unknown-task"}


def test_directory_that_cannot_be_looked_into_is_told(served, monkeypatch):
    def refuse(path):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(os, "statvfs", refuse)
    assert "Input/output error" in found()["no-access"]


@pytest.mark.parametrize(
    ("reason", "identifier"),
    [
        ("NewerTask: the message has format 2", "versions"),
        ("UntrustedTask: the signature is missing", "untrusted"),
        ("UnknownTask: shop.tasks.gone is no task of this site", "unknown-task"),
    ],
)
def test_failed_tasks_tell_what_is_set_up_wrong(served, reason, identifier):
    served.set_aside(str(enqueued(served)), reason, task="shop.tasks.gone")
    assert found().keys() == {identifier}


def test_task_that_waits_for_too_long_is_stuck_unless_its_queue_is_paused(served):
    file = enqueued(served)
    base, second, rest = str(file).rsplit("_", 2)
    os.rename(file, f"{base}_{int(second) - 400}_{rest}")
    assert "has been ready for 40" in found()["stuck"]
    served.pause("default")
    assert found().keys() == {"paused"}


def test_scheduled_task_that_nobody_makes_ready_is_stuck(served):
    name = TaskName(os.path.basename(enqueued(served)))
    served.schedule(str(next(Path(served.path("ready")).rglob("uwsgi_*"))), name, PLACE, 1e9)
    assert "has been due for" in found()["stuck"]


@pytest.mark.parametrize(
    ("facts", "identifiers"),
    [
        (
            {
                "threads": True,
                "ordered": False,
                "version": package_version(),
                "uwsgi": "2.0.31",
            },
            set(),
        ),
        ({"uwsgi": "2.0.21"}, {"versions"}),
        ({"uwsgi": "2.1.0-dev"}, set()),
        ({"uwsgi": ["evil"]}, set()),
        ({"version": "99"}, {"versions"}),
        ({"version": {"evil": 1}}, {"versions"}),
        ({"threads": False}, {"no-threads"}),
    ],
)
def test_set_up_of_the_server_is_told_by_its_card(served, facts, identifiers):
    at_work = HeldCard(served, new_card(SUPERVISOR, "uwsgi", "1"))
    spooler = HeldCard(served, new_card(SPOOLER, "uwsgi", "1", facts=facts))
    told = found().keys()
    for card in (spooler, at_work):
        card.leave()
    assert told == identifiers


@pytest.mark.parametrize(
    ("ordered", "priority", "identifiers"),
    [
        (False, 5, {"not-ordered"}),
        (False, -1, {"not-ordered"}),
        (False, 0, set()),
        (True, 5, set()),
    ],
)
def test_priorities_ask_for_an_ordered_spooler(served, ordered, priority, identifiers):
    tasks.add.using(priority=priority).enqueue(1)
    at_work = HeldCard(served, new_card(SUPERVISOR, "uwsgi", "1"))
    spooler = HeldCard(served, new_card(SPOOLER, "uwsgi", "1", facts={"ordered": ordered}))
    told = found()
    for card in (spooler, at_work):
        card.leave()
    assert told.keys() == identifiers
    assert all(f"priorities ({priority})" in message for message in told.values())
