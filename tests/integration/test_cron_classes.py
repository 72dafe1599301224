"""Classes of django-cron with our lock: each due time once, whatever dies, freezes or is off."""

import contextlib
import itertools
import signal
import statistics
import time
from datetime import datetime

import pytest

from tests.databases import KIND

from .nodes import APPS, environment_of_clock, history, log_of, nodes, start
from .preload import build
from .server import DEADLINE, Site, wait_until
from .setups import BARE

LOCK = "django_spooler.cron.DatabaseLeaseLock"
SECOND = 1 / 60
"""In minutes."""


@pytest.fixture
def site_with(launch):
    """Return what lays out a site with one class, or with several."""

    def site_with(*classes, apps=APPS, **settings) -> Site:
        named = {f"Job{number}": options for number, options in enumerate(classes)}
        settings = {
            "INSTALLED_APPS": apps,
            "CLASSES": named,
            "CRON_CLASSES": [f"clockwork.cron.{name}" for name in named],
            "DJANGO_CRON_LOCK_BACKEND": LOCK,
            **settings,
        }
        return launch.site(**settings)

    return site_with


def assert_each_due_time_once(site, job, every, at_least):
    """Check that each run is of a slot of its own, and none started too early after another."""
    runs = history(site, job)
    assert len(runs) >= at_least
    assert len({run["slot"] for run in runs}) == len(runs) == len(site.events("began", job=job))
    starts = [datetime.fromisoformat(run["start"]) for run in runs]
    gaps = [(later - start).total_seconds() for start, later in itertools.pairwise(starts)]
    assert min(gaps) > every, gaps


@pytest.mark.parametrize("fails", [False, True], ids=["normal", "failing"])
def test_each_due_time_runs_once_over_eight_nodes(site_with, job, fails):
    options = {"code": job, "run_every_mins": SECOND, "fails": fails, "seconds": 0.2}
    site = site_with(options, USE_TZ=fails)  # both ways, once each
    with nodes(site, 8, command="loopclasses") as running:
        site.wait_for("ended", 6, job=job)
        for node in running:
            node.wait_until_up()
            node.stop()
    assert_each_due_time_once(site, job, 1, 6)
    assert {run["outcome"] for run in history(site, job)} == {"failed" if fails else "success"}
    rows = log_of(site, job)
    assert len(rows) == len(site.events("began", job=job))
    assert {row["is_success"] for row in rows} == {not fails}
    said = f"ValueError: {job} fails" if fails else f"{job} succeeds"
    assert all(said in row["message"] for row in rows)
    assert not any("locked" in node.log for node in running)


@pytest.mark.parametrize("fails", [False, True], ids=["normal", "failing"])
def test_commands_that_start_at_once_run_a_job_once(site_with, job, fails):
    classes = [
        {"code": f"{job}-{number}", "run_every_mins": 60, "fails": fails} for number in range(3)
    ]
    site = site_with(*classes)
    with contextlib.ExitStack() as stack:
        commands = [stack.enter_context(site.managing("runcrons")) for _ in range(8)]
        said = [command.communicate(timeout=DEADLINE)[0] for command in commands]
    for options in classes:
        assert len(site.events("began", job=options["code"])) == 1, said
        assert len(log_of(site, options["code"])) == 1
    codes = [command.returncode for command in commands]
    assert (sum(codes) > 0) is fails and set(codes) <= {0, 1}, "\n".join(said)
    assert not any("locked" in text for text in said)


@pytest.mark.applies_if(KIND != "sqlite")  # whose nodes share a machine, and so a clock
def test_clocks_that_are_minutes_off_change_nothing(site_with, job, tmp_path):
    site = site_with({"code": job, "run_every_mins": 2 * SECOND})
    library = build("clock", tmp_path)
    offsets = {"0": 0, "1": 300, "2": -300, "3": 300}
    with contextlib.ExitStack() as stack:
        for name, seconds in offsets.items():
            (tmp_path / name).write_text(str(seconds))
            clock = environment_of_clock(library, tmp_path / name)
            start(stack, site, name, command="loopclasses", **clock).wait_until_up()
        site.wait_for("ended", 5, job=job)
        for name, seconds in offsets.items():
            passes = site.wait_for("pass", 4, node=name)
            assert all(abs(event["at"] - time.time() - seconds) < 150 for event in passes)
    assert_each_due_time_once(site, job, 2, 5)


def lease_of_two(job, **options):
    return {
        "code": job,
        "run_every_mins": 60,
        "gate": job,
        "attributes": {"lease": 2},
        **options,
    }


def test_killed_node_s_run_is_made_again_after_the_lease_and_at_most_two_seconds_later(
    site_with, job
):
    site = site_with(lease_of_two(job))
    site.close_gate(job)
    with nodes(site, 3, command="loopclasses") as running:
        (first,) = site.wait_for("began", job=job)
        time.sleep(1.5)  # for longer than a third of the lease: its heart beats
        killed = time.monotonic()
        running[int(first["node"])].signal(signal.SIGKILL)
        _, second = site.wait_for("began", 2, job=job)
        assert 2 - 2 / 3 - 0.1 <= second["monotonic"] - killed <= 2 + 2
        dead, alive = history(site, job)
        assert (dead["slot"], dead["outcome"]) == (alive["slot"], "died")
        assert [row["is_success"] for row in log_of(site, job)] == [False, False]
        site.open_gate(job)
        site.wait_for("ended", job=job)
        wait_until(lambda: outcomes(site, job) == ["died", "success"], "it is settled")
    dead, alive = log_of(site, job)
    assert not dead["is_success"] and "not heard of" in dead["message"]
    assert alive["is_success"]


def test_frozen_node_cannot_settle_what_was_taken_over(site_with, job):
    site = site_with(lease_of_two(job))
    site.close_gate(job)
    with nodes(site, 3, command="loopclasses") as running:
        (first,) = site.wait_for("began", job=job)
        frozen = running[int(first["node"])]
        frozen.signal(signal.SIGSTOP)
        site.wait_for("began", 2, job=job)
        site.open_gate(job)
        site.wait_for("ended", job=job)
        wait_until(lambda: outcomes(site, job) == ["died", "success"], "it is settled")
        frozen.signal(signal.SIGCONT)
        site.wait_for("ended", 2, job=job)
        wait_until(lambda: f"[\N{HEAVY BALLOT X}] {job}" in frozen.log, "it says that it failed")
        assert "LeaseLost: " in frozen.log and "was given to another" in frozen.log
        wait_until(lambda: "LeaseLost" in log_of(site, job)[0]["message"], "its row tells")
    assert outcomes(site, job) == ["died", "success"]
    assert [row["is_success"] for row in log_of(site, job)] == [False, True]


def test_job_longer_than_its_lease_is_not_taken_over(site_with, job):
    site = site_with({**lease_of_two(job), "run_every_mins": SECOND})
    site.close_gate(job)
    with nodes(site, 3, command="loopclasses"):
        site.wait_for("began", job=job)
        time.sleep(5)
        assert len(site.events("began", job=job)) == 1
        assert "lock found" in site.manage("runcrons")
        assert len(log_of(site, job)) == 1
        site.open_gate(job)
        site.wait_for("ended", job=job)


def test_next_due_time_starts_beside_a_long_run_where_parallel_runs_are_allowed(site_with, job):
    options = {"code": job, "run_every_mins": SECOND, "seconds": 4}
    site = site_with({**options, "attributes": {"ALLOW_PARALLEL_RUNS": True}})
    with nodes(site, 5, command="loopclasses"):
        site.wait_for("ended", 4, job=job)
    assert_each_due_time_once(site, job, 1, 5)
    began = [event["monotonic"] for event in site.events("began", job=job)]
    assert began[2] - began[0] < 4, "two ran at a time"


@pytest.mark.parametrize("first", ["django_cron", "django_spooler"])
def test_order_of_the_apps_does_not_matter(site_with, job, first):
    apps = [first, *(app for app in APPS if app != first)]
    failing = {"code": f"{job}-failing", "run_every_mins": 60, "fails": True}
    site = site_with(
        {"code": job, "run_every_mins": 60},
        failing,
        apps=apps,
        JOBS=[{"code": f"{job}-function", "every": 3600}],
    )
    with site.managing("runcrons", "--force") as command:
        said, _ = command.communicate(timeout=DEADLINE)
    assert command.returncode == 1
    assert f"[\N{HEAVY CHECK MARK}] {job}\n" in said
    assert f"[\N{HEAVY BALLOT X}] {job}-failing\n" in said
    assert f"[\N{HEAVY CHECK MARK}] {job}-function\n" in said
    assert site.manage("runcrons", "clockwork.cron.Job0").endswith(f"[ ] {job}\n")
    assert outcomes(site, job) == ["success"]


def test_database_that_is_away_is_an_error_that_says_so(site_with, job, tmp_path):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "none" / "db")}
    site = site_with({"code": job, "run_every_mins": 60}, DATABASES={"default": database})
    with site.managing("runcrons", "--skip-checks") as command:  # the site's own need it
        said, _ = command.communicate(timeout=DEADLINE)
    assert command.returncode == 1
    assert f"[\N{HEAVY BALLOT X}] {job}" in said
    assert "was not started: unable to open database file" in said
    assert "The database does not answer as it should: unable to open database file" in said
    assert "Traceback" not in said
    assert not site.events("began")


# uWSGI's spoolers, with OPTIONS["CRON"]


def test_spoolers_of_two_servers_run_classes_and_one_goes_on_alone(site_with, launch, job):
    options = {"code": job, "run_every_mins": 2 * SECOND}
    first, second = (
        launch.server(BARE, site=site_with(options, OPTIONS={"CRON": True})) for _ in range(2)
    )

    def began():
        return [event for server in (first, second) for event in server.site.events("began")]

    wait_until(lambda: len(began()) >= 3, "three due times have begun")
    first.stop()
    count = len(began())
    wait_until(lambda: len(began()) >= count + 3, "three more have begun")
    second.stop()
    runs = [run for run in history(second.site, job) if run["start"]]
    starts = [datetime.fromisoformat(run["start"]) for run in runs]
    gaps = [(later - start).total_seconds() for start, later in itertools.pairwise(starts)]
    assert min(gaps) > 2 and statistics.median(gaps) < 4 and max(gaps) < 15, gaps
    assert len({run["slot"] for run in runs}) == len(runs) == len(began())
    assert all(row["is_success"] for row in log_of(second.site, job))


def test_class_whose_process_is_killed_is_run_again_by_the_spooler(site_with, launch, job):
    site = site_with(lease_of_two(job), OPTIONS={"CRON": True})
    site.close_gate(job)
    server = launch.server(BARE, site=site)
    (first,) = site.wait_for("began", job=job)
    server.kill(first["pid"])
    killed = time.monotonic()
    _, second = site.wait_for("began", 2, job=job)
    assert second["monotonic"] - killed <= 2 + 2
    site.open_gate(job)
    wait_until(lambda: outcomes(site, job) == ["died", "success"], "it is settled")
    assert [row["is_success"] for row in log_of(site, job)] == [False, True]


def test_failing_class_stands_in_failed_and_is_due_again(site_with, launch, job):
    options = {"code": job, "run_every_mins": 60, "fails": True}
    site = site_with({**options, "retry_after_failure_mins": SECOND}, OPTIONS={"CRON": True})
    launch.server(BARE, site=site)
    site.wait_for("ended", 3, job=job)
    wait_until(lambda: outcomes(site, job)[:2] == ["failed"] * 2, "they are settled")
    assert f"ValueError: {job} fails" in site.manage("spooler", "list", "--state", "failed")


def outcomes(site, job):
    return [run["outcome"] for run in history(site, job)]
