"""``manage.py spooler doctor`` on real set-ups, each broken in one way on purpose."""

import contextlib
import json
import os
import signal
import time

import pytest

from django_spooler.spool import packet

from .server import DEADLINE, Setup, Site, free_ports, wait_until
from .setups import BARE, NO_IMPORT, NO_SPOOLER, SHIPPED
from .test_disk import mounted

ENQUEUE = "mysite.calls.enqueue"
as_root = pytest.mark.applies_if(os.geteuid() == 0)  # who else may mount a disk?
HEALTHY = Setup("healthy", (*BARE.arguments, "--enable-threads"))
BACKEND = {"BACKEND": "django_spooler.backend.SpoolerBackend", "QUEUES": ["default", "mail"]}
WITHOUT_RESULTS = {"default": BACKEND, "kept": BACKEND}
AWAY = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/such/directory/db.sqlite3"}


def doctor(site: Site, *arguments: str) -> tuple[int, dict]:
    """Return how the doctor ends, and what it says."""
    with site.managing("spooler", "doctor", "--json", *arguments) as command:
        said, _ = command.communicate(timeout=DEADLINE)
    return command.returncode, json.loads(said.splitlines()[0])


def findings(site: Site, *arguments: str) -> dict[str, dict]:
    """Return the problems by their id; there have to be some, and each has its remedy."""
    code, report = doctor(site, *arguments)
    assert (code == 0) == (not report["problems"])
    assert all(problem["message"] and problem["hint"] for problem in report["problems"])
    return {problem["id"]: problem for problem in report["problems"]}


def runners_of(site: Site) -> list[int]:
    """Return the processes that run tasks, as their cards tell."""
    (status,) = json.loads(site.manage("spooler", "status", "--json"))["spoolers"]
    return [process["pid"] for process in status["processes"]]


def left_behind(site: Site) -> list[str]:
    states = ("ready", "scheduled", "failed", "running", "tmp")
    return [
        str(path)
        for state in states
        for path in (site.spool / "django" / state).rglob("*")
        if path.is_file() and not path.name.startswith("words-")
    ]


@pytest.mark.parametrize("options", [{}, {"SIGNED": True}, {"RESULTS": "database"}])
@pytest.mark.parametrize("setup", [HEALTHY, SHIPPED], ids=lambda setup: setup.name)
def test_healthy_site_has_no_problem_and_nothing_is_left_behind(launch, setup, options):
    server = launch.server(setup, OPTIONS=options)
    code, report = doctor(server.site)
    assert (code, report["problems"]) == (0, [])
    assert report["canary_ms"] > 0
    assert left_behind(server.site) == []
    assert json.loads(server.site.manage("spooler", "status", "--json"))["problems"] == []
    assert "No problem was found." in server.site.manage("spooler", "doctor")


def test_uwsgi_does_not_run(launch):
    site = launch.site()
    start = time.monotonic()
    assert findings(site, "--timeout", "30").keys() == {"no-spooler"}
    assert time.monotonic() - start < 30, "it waits for no task where nothing runs one"
    assert left_behind(site) == []


def test_uwsgi_without_a_spooler(launch):
    server = launch.server(NO_SPOOLER)
    assert f"spooler = {server.spool}\n" in findings(server.site)["no-spooler"]["hint"]


@pytest.mark.parametrize(
    ("setup", "line"),
    [
        (NO_IMPORT, "import = django_spooler.worker\n"),
        (Setup("lazy", ("--lazy-apps", *BARE.arguments)), "spooler-import = django_spooler.worker"),
    ],
    ids=["without import", "lazy-apps without spooler-import"],
)
def test_worker_is_not_imported_where_tasks_run(launch, setup, line):
    site = launch.server(setup).site
    launch.producer(site).call(ENQUEUE, "shop.tasks.echo", [1], {})
    found = findings(site)
    assert found.keys() == {"worker-not-imported"}
    assert found["worker-not-imported"]["hint"].startswith(line)


def test_uwsgi_serves_another_directory(launch):
    """Its web workers enqueue there, so the tasks run; the command line looks elsewhere."""
    arguments = [argument.replace("{spool}", "{site}/elsewhere") for argument in HEALTHY.arguments]
    server = launch.server(Setup("elsewhere", tuple(arguments)))
    found = findings(server.site)
    assert found.keys() == {"other-directory"}
    assert f"'default': '{server.site.directory}/elsewhere'" in found["other-directory"]["hint"]


@pytest.mark.parametrize("option", ["--import", "--spooler-import"])
def test_another_library_takes_the_handler(launch, option):
    site = launch.site()
    (site.directory / "thief.py").write_text(
        "import uwsgi\n"
        "uwsgi.spooler = lambda environment: uwsgi.SPOOL_OK\n"
        "uwsgi.post_fork_hook = lambda: None\n"
    )
    launch.server(Setup("stolen", (*HEALTHY.arguments, option, "thief")), site=site)
    found = wait_until(lambda: findings(site), "it is missed")
    assert found.keys() == {"handler-taken"}


def test_threads_are_not_enabled(launch):
    found = findings(launch.server(BARE).site)
    assert found.keys() == {"no-threads"}
    assert found["no-threads"]["hint"] == "enable-threads = true"


def test_priority_of_another_library_without_spooler_ordered(launch):
    server = launch.server(HEALTHY)
    (server.spool / "5").mkdir()
    (server.spool / "5" / "uwsgi_spoolfile_on_host_1_1_1_1_1").write_bytes(
        packet.encode({b"ud_spool_func": b"theirs"})
    )
    assert findings(server.site).keys() == {"not-ordered"}


@as_root
def test_directory_is_read_only(launch):
    server = launch.server(HEALTHY)
    wait_until(lambda: runners_of(server.site), "it runs")
    with mounted("-o", "bind,ro", server.spool, server.spool):
        assert findings(server.site).keys() == {"not-writable", "refused"}
    server.kill_all()


@as_root
def test_disk_is_full(launch, tmp_path):
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path):
        spool = tmp_path / "spool"
        site = launch.site(OPTIONS={"SPOOLERS": dict.fromkeys(["default", "mail"], str(spool))})
        site.spool = spool
        server = launch.server(HEALTHY, site=site)
        assert findings(site) == {}
        with contextlib.suppress(OSError), (tmp_path / "filler").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        assert {"disk-full", "refused"} == findings(site).keys()
        server.kill_all()


def test_directory_is_served_to_visitors(launch, databases):
    site = launch.site()
    site.write_settings({"MEDIA_ROOT": str(site.directory), "DATABASES": databases})
    launch.server(HEALTHY, site=site)
    assert findings(site).keys() == {"django_spooler.W003"}


def test_directory_is_writable_for_everybody(launch):
    server = launch.server(HEALTHY)
    server.spool.chmod(0o777)
    found = findings(server.site)
    assert found.keys() == {"world-writable"}
    assert found["world-writable"]["hint"] == f"chmod o-rwx {server.spool}"


def test_unknown_task_names_wait(launch):
    """A task that was renamed: it waits while nothing runs, and then stands in failed."""
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    launch.producer(site).call(ENQUEUE, "shop.tasks.echo", [1], {})
    (waiting,) = (site.spool / "django" / "ready").rglob("uwsgi_*")
    waiting.write_bytes(waiting.read_bytes().replace(b"shop.tasks.echo", b"shop.tasks.gone"))
    assert "shop.tasks.gone (1)" in findings(site)["unknown-task"]["message"]
    launch.server(HEALTHY, site=site)
    wait_until(lambda: list((site.spool / "django" / "failed").rglob("uwsgi_*")), "it is set aside")
    assert not waiting.exists()
    assert findings(site).keys() == {"unknown-task"}


def test_task_with_a_view_for_its_module_is_known(launch):
    site = launch.site(OPTIONS={"OUTSIDE_UWSGI": "spool"})
    launch.producer(site).call(ENQUEUE, "mysite.views.task_in_views", [1], {})
    assert findings(site).keys() == {"no-spooler"}


def test_spoolers_run_another_version(launch):
    site = launch.site()
    told = site.directory / "elsewhere" / "django_spooler-99.0.dist-info" / "METADATA"
    told.parent.mkdir(parents=True)
    told.write_text("Metadata-Version: 2.1\nName: django-spooler\nVersion: 99.0\n")
    ours = dict(site.environment)
    site.environment["PYTHONPATH"] = f"{told.parents[1]}:{ours['PYTHONPATH']}"
    launch.server(HEALTHY, site=site)
    site.environment = ours
    assert "99.0" in findings(site)["versions"]["message"]


def test_secret_key_is_another_one(launch, databases):
    signed = {"OPTIONS": {"SIGNED": True}, "DATABASES": databases}
    site = launch.site(**signed)
    launch.server(HEALTHY, site=site)
    site.write_settings({"SECRET_KEY": "another", **signed})
    assert findings(site).keys() == {"untrusted"}
    assert left_behind(site) == []


@pytest.mark.parametrize("settings", [{}, {"TASKS": WITHOUT_RESULTS}], ids=["results", "none"])
def test_tables_are_missing(launch, tmp_path, settings):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty.sqlite3")}
    site = launch.site(DATABASES={"default": database}, **settings)
    launch.server(HEALTHY, site=site)
    found = findings(site)
    assert found.keys() == {"migrations"}
    assert "django_spooler.0001_initial" in found["migrations"]["message"]
    site.manage("migrate", "--verbosity=0")
    assert findings(site) == {}


@pytest.mark.parametrize("others", [{}, {"default": AWAY}], ids=["none", "away"])
def test_database_that_nothing_needs_may_be_missing(launch, others):
    site = launch.server(HEALTHY).site
    site.write_settings({"DATABASES": others, "TASKS": WITHOUT_RESULTS})
    assert findings(site) == {}
    site.write_settings({"DATABASES": others})  # whose other backend keeps results
    assert findings(site).keys() == {"database"}


def test_remote_spooler_is_not_reached(launch):
    (port,) = free_ports(1)
    server = launch.server(HEALTHY, OPTIONS={"SPOOLERS": {"mail": f"uwsgi://127.0.0.1:{port}"}})
    found = findings(server.site)
    assert found.keys() == {"remote-unreachable"}
    assert found["remote-unreachable"]["hint"] == f"socket = 127.0.0.1:{port}"


def test_only_process_is_busy_for_ever(launch):
    server = launch.server(HEALTHY)
    server.site.close_gate("gate")
    server.call(ENQUEUE, "shop.tasks.gated", ["gate"], {})
    server.site.wait_for("started")
    found = findings(server.site, "--timeout", "0.5")
    assert found.keys() == {"stuck"}
    assert "runs shop.tasks.gated since" in found["stuck"]["message"]
    assert left_behind(server.site) == [str(next((server.spool / "django/running").rglob("*:*")))]


def test_process_hangs(launch):
    server = launch.server(HEALTHY)
    (runner,) = wait_until(lambda: runners_of(server.site), "it runs")
    server.signal(runner, signal.SIGSTOP)
    found = findings(server.site, "--timeout", "0.5")
    server.signal(runner, signal.SIGCONT)
    assert "is idle" in found["stuck"]["message"]


def test_queues_are_paused(launch):
    server = launch.server(HEALTHY)
    server.site.manage("spooler", "pause")
    code, report = doctor(server.site)
    assert [problem["id"] for problem in report["problems"]] == ["paused"]
    assert (code, report["canary_ms"]) == (1, None)
    server.site.manage("spooler", "resume")
    server.site.manage("spooler", "pause", "--queue", "mail")
    code, report = doctor(server.site)
    assert (code, report["canary_ms"] is None) == (1, False)
    assert left_behind(server.site) == []


def test_settings_are_refused_by_the_system_checks(launch):
    site = launch.site(OPTIONS={"MAX_ATEMPTS": 3})
    found = findings(site)
    assert "did you mean MAX_ATTEMPTS?" in found["django_spooler.E001"]["message"]
    assert found.keys() == {"django_spooler.E001"}
