"""What a look from outside makes of the machine: rights, mounts and versions."""

import os

import pytest

from django_spooler.diagnosis import machine, problems
from django_spooler.diagnosis.machine import UwsgiProcess, file_system

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
