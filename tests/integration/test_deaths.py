"""Reload, stop and SIGKILL while a task runs: it ends whole, or runs again as promised."""

import re
import signal

import pytest

from .conftest import Launcher
from .server import DEADLINE, ROOT, Server, Setup, wait_until
from .setups import BARE, LAZY, SHIPPED

ENQUEUE = "mysite.calls.enqueue"
GATE = "gate"

DIES_ON_TERM = Setup("with die-on-term", (*BARE.arguments, "--die-on-term"))

both_setups = pytest.mark.parametrize("setup", [BARE, SHIPPED], ids=lambda setup: setup.name)


def start_with_a_task_at_the_gate(
    launch: Launcher, setup=BARE, task="shop.tasks.gated", **options
) -> tuple[Server, dict]:
    """Return a server and what its task recorded that now waits at the gate."""
    server = launch.server(setup, OPTIONS=options)
    server.site.close_gate(GATE)
    server.call(ENQUEUE, task, [GATE], {})
    (started,) = server.site.wait_for("started")
    return server, started


def let_it_end(server: Server) -> dict:
    """Open the gate and return what the task recorded at its end."""
    server.site.open_gate(GATE)
    (ended,) = server.site.wait_for("ended")
    return ended


def run_another(server: Server) -> dict:
    """Enqueue a task and return what it recorded: the queue is alive."""
    label = f"after {len(server.site.events('ordered'))}"
    server.call(ENQUEUE, "shop.tasks.ordered", [label], {})
    (done,) = server.site.wait_for("ordered", label=label)
    return done


def assert_it_ran_once(server: Server, started: dict) -> None:
    """Assert that the first try was the only one, in one process, and that nothing is left."""
    assert server.site.events("started") == [started]
    (ended,) = server.site.events("ended")
    assert (ended["pid"], ended["attempt"]) == (started["pid"], 1)
    wait_until(lambda: not waiting_or_running(server), "no file of the task is left")


def assert_stop_cuts_it_and_a_start_runs_it_again(server: Server, started: dict) -> None:
    """Stop the server for longer than the grace; assert that no attempt was used up."""
    server.stop()
    wait_until(lambda: not server.processes, "the runner was cut")
    assert server.site.events("ended") == []
    server.start()
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 1)
    let_it_end(server)


def waiting_or_running(server: Server) -> list[str]:
    """Return the task files that are not settled."""
    tree = server.spool / "django"
    states = ("ready", "scheduled", "running")
    return [str(path) for state in states for path in (tree / state).rglob("*") if path.is_file()]


# Reload


@both_setups
def test_reload_lets_the_task_end_in_its_process(launch, setup):
    server, started = start_with_a_task_at_the_gate(launch, setup)
    old = set(server.spoolers + server.web_workers)
    server.reload()
    assert not old & set(server.spoolers + server.web_workers)
    assert started["pid"] in server.runners
    assert run_another(server)["pid"] != started["pid"], "the new spooler need not wait for it"
    assert let_it_end(server)["stopping"] is True
    assert_it_ran_once(server, started)
    wait_until(lambda: started["pid"] not in server.processes, "the old runner has left")


@both_setups
def test_task_that_outlasts_the_grace_of_a_reload_runs_again_with_no_attempt_used(launch, setup):
    server, started = start_with_a_task_at_the_gate(launch, setup, STOP_GRACE=0.5)
    server.reload()
    again = server.site.wait_for("started", 2)[1]
    assert again["pid"] != started["pid"]
    assert again["attempt"] == 1
    assert let_it_end(server)["pid"] == again["pid"]
    server.site.wait_for("task_finished", id=started["id"])
    assert len(server.site.events("task_started", id=started["id"])) == 1


def write_new_code(server: Server) -> None:
    """Change the site's code as a deploy does."""
    tasks = server.site.directory / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text().replace("VERSION = 1", "VERSION = 2"))


@pytest.mark.parametrize("setup", [BARE, SHIPPED, LAZY], ids=lambda setup: setup.name)
def test_reload_brings_new_code(launch, setup):
    server = launch.server(setup)
    assert run_another(server)["version"] == 1
    write_new_code(server)
    server.reload()
    assert run_another(server)["version"] == 2


def test_spooler_reload_brings_new_code_where_the_spoolers_load_the_site(launch):
    server = launch.server(LAZY)
    run_another(server)
    write_new_code(server)
    workers = server.web_workers
    assert "1 spooler came back" in server.site.manage("spooler", "reload", "--timeout", "30")
    assert run_another(server)["version"] == 2
    assert server.web_workers == workers


def assert_spooler_reload_cuts_nothing(server: Server, started: dict, seconds: float) -> None:
    """Assert that a reload which is given so many seconds says what runs, and one without waits."""
    old = set(server.spoolers)
    with pytest.raises(AssertionError) as failure:
        server.site.manage("spooler", "reload", "--timeout", str(seconds))
    assert f"Still running: shop.tasks.gated in process {started['pid']}." in str(failure.value)
    with server.site.managing("spooler", "reload") as command:
        assert let_it_end(server)["stopping"] is True
        said, _ = command.communicate(timeout=DEADLINE)
    assert (command.returncode, "came back" in said) == (0, True), said
    assert not old & set(server.spoolers)
    run_another(server)
    assert_it_ran_once(server, started)


@both_setups
def test_spooler_reload_cuts_no_task_however_long_it_takes(launch, setup):
    server, started = start_with_a_task_at_the_gate(launch, setup, STOP_GRACE=0.1)
    assert_spooler_reload_cuts_nothing(server, started, 1)


def test_spooler_reload_cuts_no_task_where_harakiri_bounds_uwsgis_loop(launch):
    setup = Setup("harakiri", (*BARE.arguments, "--spooler-harakiri", "3"))
    server, started = start_with_a_task_at_the_gate(launch, setup, STOP_GRACE=0.1)
    assert_spooler_reload_cuts_nothing(server, started, 6)
    assert "HARAKIRI" not in server.log


def test_stop_during_a_spooler_reload_leaves_the_task_its_grace_only(launch):
    server, started = start_with_a_task_at_the_gate(launch, STOP_GRACE=0.2)
    with pytest.raises(AssertionError, match="Still running"):
        server.site.manage("spooler", "reload", "--timeout", "0")
    assert_stop_cuts_it_and_a_start_runs_it_again(server, started)


def test_pause_that_times_out_says_what_still_runs(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    with pytest.raises(AssertionError) as failure:
        server.site.manage("spooler", "pause", "--wait", "--timeout", "0.2")
    expected = f"still run after 0.2 s: shop.tasks.gated in process {started['pid']}."
    assert expected in str(failure.value)
    let_it_end(server)
    server.site.manage("spooler", "pause", "--wait", "--timeout", "30")
    assert_it_ran_once(server, started)


# Stop


def test_pause_waits_for_no_task_of_a_server_that_was_killed(launch):
    server, _ = start_with_a_task_at_the_gate(launch)
    server.kill_all()
    server.site.manage("spooler", "pause", "--wait", "--timeout", "0.5")


def test_pause_does_not_take_a_file_that_strayed_in_for_a_running_task(launch):
    server = launch.server()
    run_another(server)
    (running,) = (server.spool / "django" / "running").iterdir()
    (running / "100:default:stray").write_text("a file that nobody claimed")
    server.site.manage("spooler", "pause", "--wait", "--timeout", str(DEADLINE))
    server.site.manage("spooler", "resume")
    (told,) = server.site.wait_for("task_failed")
    assert "DamagedTask" in told["reason"]


@both_setups
def test_stop_lets_the_task_end_and_it_is_not_run_again(launch, setup):
    server, started = start_with_a_task_at_the_gate(launch, setup)
    server.stop()
    assert server.processes == [started["pid"]]
    let_it_end(server)
    wait_until(lambda: not server.processes, "the runner has left too")
    server.start()
    run_another(server)
    assert_it_ran_once(server, started)


def test_task_that_outlasts_the_grace_of_a_stop_runs_again_after_the_start(launch):
    server, started = start_with_a_task_at_the_gate(launch, STOP_GRACE=0.5)
    assert_stop_cuts_it_and_a_start_runs_it_again(server, started)


def test_server_starts_again_while_the_old_runner_is_still_busy(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    server.stop()
    server.start()
    run_another(server)
    assert started["pid"] in server.runners
    let_it_end(server)
    assert_it_ran_once(server, started)


@pytest.mark.parametrize("setup", [SHIPPED, DIES_ON_TERM], ids=lambda setup: setup.name)
def test_signal_of_the_systemd_unit_in_the_docs_stops_the_server(launch, setup):
    unit = (ROOT / "docs/howto/deploy.md").read_text()
    (name,) = re.findall(r"^KillSignal=(\w+)$", unit, re.MULTILINE)
    server = launch.server(setup)
    server.signal(server.master, signal.Signals[name])
    wait_until(lambda: not server.processes, "everything has ended")


def test_waiting_tasks_survive_a_stop_in_their_order(launch):
    server, _ = start_with_a_task_at_the_gate(launch)
    for number in range(20):
        server.call(ENQUEUE, "shop.tasks.ordered", [number], {})
    server.call(ENQUEUE, "shop.tasks.ordered", ["later"], {}, using={"run_after": 1})
    server.stop()
    let_it_end(server)
    server.start()
    done = server.site.wait_for("ordered", 21)
    assert [event["label"] for event in done if event["label"] != "later"] == list(range(20))


# SIGKILL


def test_task_whose_runner_is_killed_runs_again_as_its_next_attempt(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    server.kill(started["pid"])
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)
    assert let_it_end(server)["pid"] == again["pid"]
    assert "died: signal 9" in server.log


def test_task_whose_spooler_is_killed_ends_whole(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    (spooler,) = server.spoolers
    server.kill(spooler)
    wait_until(lambda: server.spoolers, "the master has started another spooler")
    run_another(server)
    let_it_end(server)
    assert_it_ran_once(server, started)


@pytest.mark.parametrize("how", ["reload", "kill"])
def test_task_that_read_its_process_card_does_not_run_beside_itself(launch, how):
    """To close any descriptor of the card drops the lock that tells the process's life."""
    server, started = start_with_a_task_at_the_gate(launch, task="shop.tasks.reads_the_whole_spool")
    if how == "reload":
        server.reload()
    else:
        server.kill(*server.spoolers)
    run_another(server)  # a new spooler process has looked for the dead before
    let_it_end(server)
    assert_it_ran_once(server, started)


@both_setups
def test_task_whose_master_is_killed_ends_whole(launch, setup):
    server, started = start_with_a_task_at_the_gate(launch, setup)
    server.kill(server.master)
    wait_until(lambda: not server.spoolers, "the spoolers leave with their master")
    let_it_end(server)
    wait_until(lambda: started["pid"] not in server.processes, "the runner has left")
    server.kill_all()  # without no-orphans uWSGI leaves the web workers behind
    server.start()
    run_another(server)
    assert_it_ran_once(server, started)


def test_spooler_and_runner_killed_together_cost_an_attempt(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    for pid in (*server.spoolers, started["pid"]):
        server.signal(pid, signal.SIGKILL)
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)
    assert "killed the process (signal 9" in server.log
    let_it_end(server)


def test_task_that_dies_while_a_reload_waits_for_it_has_used_up_an_attempt(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    with pytest.raises(AssertionError, match="Still running"):
        server.site.manage("spooler", "reload", "--timeout", "0")
    server.kill(started["pid"])
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 2)
    let_it_end(server)


def test_task_runs_again_after_everything_was_killed_at_once(launch):
    server, started = start_with_a_task_at_the_gate(launch)
    server.kill_all()
    server.start()
    again = server.site.wait_for("started", 2)[1]
    assert (again["id"], again["attempt"]) == (started["id"], 1)
    assert let_it_end(server)["pid"] == again["pid"]


def test_killed_web_worker_loses_nothing_it_has_accepted(launch):
    server, _ = start_with_a_task_at_the_gate(launch)
    for number in range(10):
        server.call(ENQUEUE, "shop.tasks.ordered", [number], {})
    for pid in server.web_workers:
        server.kill(pid)
    let_it_end(server)
    done = server.site.wait_for("ordered", 10)
    assert [event["label"] for event in done] == list(range(10))
