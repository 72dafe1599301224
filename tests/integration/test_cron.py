"""Periodic jobs over several nodes: each slot once, whatever dies, freezes or has a wrong clock."""

import contextlib
import itertools
import signal
import statistics
import time

import pytest

from tests.databases import KIND

from .nodes import APPS, assert_each_slot_once, environment_of_clock, history, nodes, start
from .preload import build
from .proxy import proxied
from .server import DEADLINE, Site, wait_until
from .setups import BARE, LAZY, SHIPPED


@pytest.fixture
def site_with(launch):
    """Return what lays out a site with these jobs."""

    def site_with(*jobs, **options) -> Site:
        return launch.site(INSTALLED_APPS=APPS, JOBS=list(jobs), OPTIONS=options)

    return site_with


# Nodes that call run_due, as runcrons does


@pytest.mark.parametrize("fails", [False, True], ids=["normal", "failing"])
def test_each_slot_runs_once_over_eight_nodes(site_with, job, fails):
    site = site_with({"code": job, "every": 2, "fails": fails})
    with nodes(site, 8) as running:
        site.wait_for("ended", 4, job=job)
        for node in running:
            node.wait_until_up()
            node.stop()
    slots = assert_each_slot_once(site, job, 2, 4)
    assert [(run["slot"], run["outcome"]) for run in history(site, job)] == [
        (slot, "failed" if fails else "success") for slot in slots
    ]
    assert not any("locked" in node.log for node in running)


@pytest.mark.applies_if(KIND != "sqlite")  # whose nodes share a machine, and so a clock
def test_clocks_that_are_minutes_off_change_nothing(site_with, job, tmp_path):
    site = site_with({"code": job, "every": 2})
    library = build("clock", tmp_path)
    offsets = {"0": 0, "1": 300, "2": -300, "3": 300}
    began = time.time()
    with contextlib.ExitStack() as stack:
        for name, seconds in offsets.items():
            (tmp_path / name).write_text(str(seconds))
            clock = environment_of_clock(library, tmp_path / name)
            start(stack, site, name, **clock).wait_until_up()
        site.wait_for("ended", 4, job=job)
        for name, seconds in offsets.items():
            passes = site.wait_for("pass", 4, node=name)
            assert all(abs(event["at"] - time.time() - seconds) < 150 for event in passes)
    slots = assert_each_slot_once(site, job, 2, 4)
    assert began - 2 <= slots[0] and slots[-1] <= time.time()


def lease_of_two(job: str) -> dict[str, object]:
    return {"code": job, "every": 1, "lease": 2, "gate": job}


def test_killed_node_s_slot_is_run_again_after_the_lease_and_at_most_two_seconds_later(
    site_with, job
):
    site = site_with(lease_of_two(job))
    site.close_gate(job)
    with nodes(site, 3) as running:
        (first,) = site.wait_for("began", job=job)
        time.sleep(1.5)  # for longer than a third of the lease: its heart beats
        killed = time.monotonic()
        running[int(first["node"])].signal(signal.SIGKILL)
        _, second = site.wait_for("began", 2, job=job)
        assert (second["slot"], second["attempt"]) == (first["slot"], 2)
        assert 2 - 2 / 3 - 0.1 <= second["monotonic"] - killed <= 2 + 2
        site.open_gate(job)
        site.wait_for("ended", job=job, attempt=2)
        wait_until(
            lambda: outcomes(site, job, first["slot"]) == ["died", "success"], "it is settled"
        )


def test_frozen_node_cannot_settle_what_was_taken_over(site_with, job):
    site = site_with(lease_of_two(job))
    site.close_gate(job)
    with nodes(site, 3) as running:
        (first,) = site.wait_for("began", job=job)
        frozen = running[int(first["node"])]
        frozen.signal(signal.SIGSTOP)
        _, second = site.wait_for("began", 2, job=job)
        assert (second["slot"], second["attempt"]) == (first["slot"], 2)
        site.open_gate(job)
        site.wait_for("ended", job=job, attempt=2)
        frozen.signal(signal.SIGCONT)
        (lost,) = site.wait_for("lost", job=job)
        assert lost["node"] == first["node"] and "was given to another" in lost["error"]
        assert "was given to another" in frozen.log
        assert outcomes(site, job, first["slot"]) == ["died", "success"]


def outcomes(site, job, slot):
    return [run["outcome"] for run in history(site, job) if run["slot"] == slot]


# uWSGI's spoolers, with OPTIONS["CRON"]


def test_spooler_starts_each_slot_within_a_second_and_a_long_job_holds_up_none(
    site_with, launch, job
):
    long = f"{job}-long"  # twice as long as its lease
    site = site_with(
        {"code": job, "every": 2},
        {"code": long, "every": 1, "seconds": 4, "lease": 2},
        CRON=True,
    )
    launch.server(BARE, site=site)
    site.wait_for("ended", 2, job=long)
    assert_each_slot_on_time(site, job, 2, 4)
    assert {"success", "skipped"} <= {run["outcome"] for run in history(site, long)}
    assert "died" not in [run["outcome"] for run in history(site, long)]


def assert_each_slot_on_time(site, job, every, at_least):
    """Check that it began once for each slot, within a second; one at the worst before the next."""
    assert_each_slot_once(site, job, every, at_least)
    late = [event["at"] - event["slot"] for event in site.events("began", job=job)]
    assert sorted(late)[-2] < 1 and max(late) < every, late


@pytest.mark.parametrize("setup", [SHIPPED, LAZY], ids=lambda setup: setup.name)
def test_one_process_of_a_server_ticks_however_it_is_set_up(site_with, launch, job, setup):
    site = site_with({"code": job, "every": 2}, CRON=True, **setup.settings)
    launch.server(setup, site=site)
    site.wait_for("ended", 3, job=job)
    assert_each_slot_on_time(site, job, 2, 3)


def test_plain_worker_ticks_too(site_with, job):
    site = site_with({"code": job, "every": 2}, CRON=True)
    with site.managing("spooler", "work") as worker:
        site.wait_for("ended", 3, job=job)
        worker.terminate()
        worker.wait(DEADLINE)
    assert_each_slot_once(site, job, 2, 3)


def test_reload_cuts_no_run_and_jobs_go_on(site_with, launch, job):
    long = f"{job}-long"
    site = site_with(
        {"code": job, "every": 1, "overlap": "queue", "catch_up": "all"},
        {"code": long, "every": 1, "gate": long},
        CRON=True,
    )
    site.close_gate(long)
    server = launch.server(BARE, site=site)
    (first,) = site.wait_for("began", job=long)
    server.reload()
    count = len(site.events("began", job=job))
    site.wait_for("began", count + 3, job=job)
    assert len(site.events("began", job=long)) == 1
    site.open_gate(long)
    site.wait_for("ended", job=long, pid=first["pid"], lost=False)
    wait_until(lambda: outcomes(site, long, first["slot"]) == ["success"], "it is settled")
    assert_each_slot_once(site, job, 1, count + 3)


@pytest.mark.parametrize("setup", [BARE, SHIPPED], ids=lambda setup: setup.name)
def test_jobs_go_on_while_a_reload_waits_for_a_long_task(site_with, launch, job, setup):
    site = site_with({"code": job, "every": 1}, CRON=True)
    server = launch.server(setup, site=site)
    site.close_gate("gate")
    server.call("mysite.calls.enqueue", "shop.tasks.gated", ["gate"], {})
    site.wait_for("started")
    old = set(server.spoolers)
    with site.managing("spooler", "reload") as command:
        count = len(site.events("began", job=job))
        site.wait_for("began", count + 4, job=job)
        assert old & set(server.spoolers), "the task still runs"
        site.open_gate("gate")
        said, _ = command.communicate(timeout=DEADLINE)
    assert "came back" in said
    count = len(site.events("began", job=job))
    site.wait_for("began", count + 2, job=job)


def test_job_of_several_slots_runs_each_on_time_where_it_may_overlap(site_with, launch, job):
    """A job due every minute that takes three minutes, at thirty times the speed."""
    site = site_with({"code": job, "every": 2, "seconds": 6, "overlap": "allow"}, CRON=True)
    for _ in range(2):
        launch.server(BARE, site=site)
    site.wait_for("ended", 3, job=job)
    assert_each_slot_on_time(site, job, 2, 5)


def test_queued_run_begins_as_soon_as_the_one_before_it_has_ended(site_with, launch, job):
    site = site_with({"code": job, "every": 1, "seconds": 1.05, "overlap": "queue"}, CRON=True)
    launch.server(BARE, site=site)
    site.wait_for("began", 8, job=job)
    began = [event["monotonic"] for event in site.events("began", job=job)][1:]
    ended = [event["monotonic"] for event in site.events("ended", job=job)]
    pauses = [begin - end for end, begin in zip(ended, began, strict=False)]
    assert min(pauses) < 0.6, "not at the next tick only, which is 0.9 s later"


def test_machine_runs_no_more_at_a_time_than_it_has_processes_for(site_with, launch, job):
    options = {"CRON": True, "CRON_PROCESSES": 2}
    site = site_with({"code": job, "every": 1, "seconds": 3, "overlap": "allow"}, **options)
    launch.server(SHIPPED, site=site)
    site.wait_for("ended", 4, job=job)
    began = [event["monotonic"] for event in site.events("began", job=job)]
    ended = [event["monotonic"] for event in site.events("ended", job=job)]
    busy = [
        sum(begin <= moment for begin in began) - sum(end <= moment for end in ended)
        for moment in began
    ]
    assert max(busy) == 2


def test_what_one_machine_has_no_process_for_starts_on_another(site_with, launch, job):
    names = {f"{job}-{letter}" for letter in "abc"}
    jobs = [{"code": name, "every": 2, "gate": "gate"} for name in sorted(names)]
    sites = [site_with(*jobs, CRON=True, CRON_PROCESSES=1) for _ in range(2)]
    for site in sites:
        site.close_gate("gate")
        launch.server(BARE, site=site)

    def began():
        return [event["job"] for site in sites for event in site.events("began")]

    wait_until(lambda: len(began()) >= 2, "each machine has begun a run")
    assert [len(site.events("began")) for site in sites] == [1, 1]
    (waiting,) = names - set(began())
    wait_until(lambda: history(sites[0], waiting), "the third run is claimed by one of them")
    sites[0].open_gate("gate")  # which is free from now on
    sites[0].wait_for("began", job=waiting)


def test_job_goes_on_when_one_of_two_servers_is_stopped(site_with, launch, job):
    jobs = {"code": job, "every": 2}
    first, second = (launch.server(BARE, site=site_with(jobs, CRON=True)) for _ in range(2))
    sites = (first.site, second.site)

    def began():
        return sorted(
            (event for site in sites for event in site.events("began", job=job)),
            key=lambda event: event["slot"],
        )

    wait_until(lambda: len(began()) >= 3, "three slots have begun")
    first.stop()
    count = len(began())
    wait_until(lambda: len(began()) >= count + 3, "three more slots have begun")
    slots = [event["slot"] for event in began()]
    assert slots == [slots[0] + 2 * number for number in range(len(slots))]
    assert all(event["at"] - event["slot"] < 2 for event in began()), "before the next slot"


def test_server_that_lost_its_power_is_replaced_by_another(site_with, launch, job):
    sites = [site_with(lease_of_two(job), CRON=True) for _ in range(2)]
    for site in sites:
        site.close_gate(job)
    first = launch.server(BARE, site=sites[0])
    (begun,) = first.site.wait_for("began", job=job)
    second = launch.server(BARE, site=sites[1])
    first.kill_all()
    killed = time.monotonic()
    (taken,) = second.site.wait_for("began", job=job)
    assert (taken["slot"], taken["attempt"]) == (begun["slot"], 2)
    assert taken["monotonic"] - killed <= 2 + 2
    second.site.open_gate(job)
    wait_until(
        lambda: outcomes(second.site, job, begun["slot"]) == ["died", "success"], "it is settled"
    )


def test_job_that_kills_its_process_is_run_again_and_stands_in_failed(site_with, launch, job):
    site = site_with(lease_of_two(job), CRON=True)
    site.close_gate(job)
    server = launch.server(BARE, site=site)
    (first,) = site.wait_for("began", job=job)
    server.kill(first["pid"])
    _, second = site.wait_for("began", 2, job=job)
    assert (second["slot"], second["attempt"]) == (first["slot"], 2)
    site.open_gate(job)
    wait_until(lambda: outcomes(site, job, first["slot"]) == ["died", "success"], "it is settled")
    assert "killed the process (signal 9)" in site.manage("spooler", "list", "--state", "failed")


def test_frozen_process_of_a_spooler_cannot_settle_what_was_taken_over(site_with, launch, job):
    site = site_with(lease_of_two(job), CRON=True)
    site.close_gate(job)
    server = launch.server(BARE, site=site)
    (first,) = site.wait_for("began", job=job)
    server.signal(first["pid"], signal.SIGSTOP)
    _, second = site.wait_for("began", 2, job=job)
    assert (second["slot"], second["attempt"]) == (first["slot"], 2)
    site.open_gate(job)
    site.wait_for("ended", job=job, attempt=2)
    server.signal(first["pid"], signal.SIGCONT)
    wait_until(lambda: "was given to another" in server.log, "it is told so")
    wait_until(lambda: outcomes(site, job, first["slot"]) == ["died", "success"], "it is settled")


def test_failing_job_stands_in_failed_with_its_traceback(site_with, launch, job):
    site = site_with({"code": job, "every": 1, "fails": True}, CRON=True)
    launch.server(BARE, site=site)
    site.wait_for("task_failed")
    assert f"ValueError: {job} fails" in site.manage("spooler", "list", "--state", "failed")
    wait_until(lambda: history(site, job)[0]["outcome"] == "failed", "it is settled")
    assert "Traceback" in history(site, job)[0]["error"]


def test_jobs_of_one_function_have_each_their_own_timeout(site_with, launch, job):
    hasty = f"{job}-z"
    site = site_with(
        {"code": job, "every": 1, "seconds": 1.5},
        {"code": hasty, "every": 1, "seconds": 30, "timeout": 0.5},
        CRON=True,
    )
    launch.server(BARE, site=site)
    site.wait_for("ended", job=job)
    wait_until(lambda: "failed" in [run["outcome"] for run in history(site, hasty)], "one is cut")
    assert "failed" not in [run["outcome"] for run in history(site, job)]


def test_failed_run_that_is_put_back_runs_for_its_own_slot(site_with, launch, job):
    site = site_with({"code": job, "every": 1, "fails": True}, CRON=True)
    launch.server(BARE, site=site)
    failed = site.wait_for("task_failed")[0]
    (first, *_) = site.events("began", job=job)
    site.manage("crons", "pause", job)
    site.manage("spooler", "retry", failed["id"])
    site.wait_for("began", job=job, slot=first["slot"], attempt=2)
    wait_until(lambda: outcomes(site, job, first["slot"]) == ["failed"] * 2, "it is settled")


def test_paused_spooler_leaves_the_slots_to_other_nodes(site_with, launch, job):
    jobs = {"code": job, "every": 1}
    paused, other = (site_with(jobs, CRON=True) for _ in range(2))
    (paused.spool / "django").mkdir(parents=True)
    paused.manage("spooler", "pause")
    launch.server(BARE, site=paused)
    launch.server(BARE, site=other)
    other.wait_for("ended", 4, job=job)
    assert not paused.events("began")


def test_classes_of_django_cron_run_in_the_spoolers_too(launch, job):
    def site():
        return launch.site(
            INSTALLED_APPS=APPS,
            CRON_CLASSES=["clockwork.classes.Classic"],
            CLASSIC_CODE=job,
            DJANGO_CRON_LOCK_BACKEND="django_spooler.cron.DatabaseLeaseLock",
            OPTIONS={"CRON": True},
        )

    servers = [launch.server(BARE, site=site()) for _ in range(2)]

    def began():
        return [event for server in servers for event in server.site.events("began", job=job)]

    wait_until(lambda: len(began()) >= 4, "it ran four times")
    times = sorted(event["monotonic"] for event in began())
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # From start to start it is 2 s by the database's clock; the class itself begins a moment later.
    assert min(gaps) > 1.5 and statistics.median(gaps) < 4, gaps
    listed = servers[0].site.manage("crons", "list")
    assert f"{job}  " in listed and "every 2 seconds" in listed
    servers[0].site.manage("crons", "pause", job)
    count = len(began())
    time.sleep(5)  # for longer than two intervals: nothing tells that nothing happens
    paused = len(began())
    assert paused <= count + 1
    servers[0].site.manage("crons", "run", job)
    assert len(began()) == paused + 1


@pytest.mark.applies_if(KIND != "sqlite")  # it has no server that could be away
def test_run_goes_on_while_the_database_is_away_and_is_not_run_twice(
    launch, job, databases, tmp_path, django_db_blocker
):
    jobs = [{"code": job, "every": 1, "lease": 2, "gate": job}]
    with django_db_blocker.unblock(), proxied(databases, tmp_path) as (proxy, through_proxy):
        sites = [
            launch.site(
                INSTALLED_APPS=APPS, JOBS=jobs, OPTIONS={"CRON": True}, DATABASES=through_proxy
            )
            for _ in range(2)
        ]
        for site in sites:
            site.close_gate(job)
        servers = [launch.server(BARE, site=site) for site in sites]

        def began():
            return [event for site in sites for event in site.events("began", job=job)]

        wait_until(began, "a run has begun")
        (first,) = began()
        proxy.cut()
        for server in servers:
            wait_until(lambda log=server: "Periodic jobs wait" in log.log, "it says so")
        time.sleep(3)  # the lease is over by now, and nobody could renew it
        for site in sites:
            site.open_gate(job)
        proxy.mend()
        wait_until(lambda: len(began()) >= 3, "it goes on")
        assert [event["slot"] for event in began()].count(first["slot"]) == 1
        assert outcomes(sites[0], job, first["slot"]) == ["success"]
