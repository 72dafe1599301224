"""What the task API promises, under a real uWSGI."""

import fcntl
import itertools
import json
import os
import time

import pytest

from django_spooler.spool.names import order

from .server import CallError, Server, wait_until

ENQUEUE = "mysite.calls.enqueue"


def failed(server: Server, identifier: str) -> dict:
    """Return what the command line says of a failed task."""
    listed = json.loads(server.site.manage("spooler", "list", "--state", "failed", "--json"))
    (entry,) = (entry for entry in listed if entry["id"] == identifier)
    return entry


# The call


@pytest.mark.parametrize("how", ["enqueue", "delay", "aenqueue"])
def test_every_way_to_enqueue_answers_with_the_result_of_a_task_to_come(server, name, how):
    answer = server.call(ENQUEUE, "shop.tasks.with_context", [name], {}, how=how)
    assert answer["status"] == "READY"
    (done,) = server.site.wait_for("with_context", value=name)
    assert (done["id"], done["attempt"]) == (answer["id"], 1)
    assert done["pid"] in server.runners


def test_plain_call_runs_in_the_callers_process(server, name):
    server.call("shop.producers.call_plainly", "shop.tasks.ordered", {"label": name})
    (done,) = server.site.events("ordered", label=name)
    assert done["pid"] in server.web_workers


def test_queue_and_priority_of_the_call_reach_the_task(server, name):
    using = {"queue_name": "mail", "priority": -7}
    server.call(ENQUEUE, "shop.tasks.with_context", [name], {}, using=using)
    (done,) = server.site.wait_for("with_context", value=name)
    assert (done["queue"], done["priority"]) == ("mail", -7)


def test_queue_and_priority_of_the_decorator_reach_the_task(server, name):
    server.call(ENQUEUE, "mail.tasks.send", [name], {})
    (done,) = server.site.wait_for("send", to=name)
    assert (done["queue"], done["priority"]) == ("mail", 7)


def test_async_task_runs_on_an_event_loop(server, name):
    server.call(ENQUEUE, "shop.tasks.on_the_loop", [name], {})
    (done,) = server.site.wait_for("on_the_loop", value=name)
    assert done["task"] is True


def test_unknown_queue_is_refused_with_the_known_ones(server, name):
    with pytest.raises(CallError) as caught:
        server.call(ENQUEUE, "shop.tasks.echo", [name], {}, using={"queue_name": "far"})
    assert "InvalidSpoolerTask" in caught.value.kinds
    assert "default, mail" in caught.value.message


# When


def test_higher_priority_runs_first_and_equal_ones_in_the_order_they_came(server, name):
    gate = server.site.close_gate(name)
    server.call(ENQUEUE, "shop.tasks.gated", [gate], {})
    server.site.wait_for("started", gate=gate)
    priorities = [0, -100, 100, 0, 50, 100, -100, 50]
    labels = [[name, place, priority] for place, priority in enumerate(priorities)]
    for label in labels:
        queue = ["default", "mail"][label[1] % 2]
        using = {"priority": label[2], "queue_name": queue}
        server.call(ENQUEUE, "shop.tasks.ordered", [label], {}, using=using)
    server.site.open_gate(gate)
    wanted = sorted(labels, key=lambda label: -label[2])
    server.site.wait_for("ordered", label=wanted[-1])
    assert [e["label"] for e in server.site.events("ordered") if e["label"] in labels] == wanted


def test_run_after_is_kept(server, name):
    start = time.time()
    server.call(ENQUEUE, "shop.tasks.ordered", [name], {}, using={"run_after": 1.5})
    (done,) = server.site.wait_for("ordered", label=name)
    assert start + 1.5 <= done["at"] < start + 5


def test_run_after_in_the_past_is_at_once(server, name):
    server.call(ENQUEUE, "shop.tasks.ordered", [name], {}, using={"run_after": -3600})
    server.site.wait_for("ordered", label=name)


def test_task_that_its_producer_is_about_to_finish_is_not_overtaken(server, name):
    server.site.manage("spooler", "pause")
    for label in ("first", "second"):
        server.call(ENQUEUE, "shop.tasks.ordered", [[name, label]], {})
    ready = server.spool / "django" / "ready" / "default" / "100"
    files = sorted(ready.iterdir(), key=lambda path: order(path.name))
    first, second = (path.rename(server.site.directory / path.name) for path in files)
    server.site.manage("spooler", "resume")
    content = first.read_bytes()
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    with first.open("r+b", buffering=0) as producer:
        fcntl.lockf(producer, fcntl.LOCK_EX)
        producer.truncate(0)
        os.rename(first, ready / f"uwsgi_spoolfile_on_web1_1_1_1_{seconds}_{microseconds}")
        os.rename(second, ready / f"uwsgi_spoolfile_on_web1_1_2_1_{seconds}_{microseconds}")
        wait_until(lambda: len(list(ready.iterdir())) == 1, "the first is claimed")
        time.sleep(0.03)  # the producer was put off its processor
        producer.write(content)
    server.site.wait_for("ordered", label=[name, "second"])
    done = [event["label"] for event in server.site.events("ordered")]
    assert done[-2:] == [[name, "first"], [name, "second"]]


# How it ends


def test_failed_attempts_are_counted_until_one_succeeds(server):
    answer = server.call(ENQUEUE, "shop.tasks.fails_until", [2], {})
    done = server.site.wait_for("fails_until", 2, id=answer["id"])
    assert [event["attempt"] for event in done] == [1, 2]
    server.site.wait_for("task_finished", id=answer["id"])
    assert len(server.site.events("task_enqueued", id=answer["id"])) == 1
    assert len(server.site.events("task_started", id=answer["id"])) == 1
    assert len(server.site.events("task_retried", id=answer["id"])) == 1


def test_task_that_fails_for_good_stands_in_failed_and_can_be_retried(server):
    answer = server.call(ENQUEUE, "shop.tasks.fails_until", [5], {})
    (told,) = server.site.wait_for("task_failed", id=answer["id"])
    assert told["reason"] == "RuntimeError: attempt 3 fails as told (attempt 3 of 3)"
    entry = failed(server, answer["id"])
    assert entry["task"] == "shop.tasks.fails_until"
    assert entry["reason"] == told["reason"]
    assert "attempt 3 fails as told" in entry["traceback"]
    server.site.manage("spooler", "retry", answer["id"])
    again = server.site.wait_for("fails_until", 6, id=answer["id"])
    assert [event["attempt"] for event in again] == [1, 2, 3] * 2


def test_retry_waits_for_the_time_it_names(server):
    server.call(ENQUEUE, "shop.tasks.asks_for_another_try", [1.0], {})
    first, second = server.site.wait_for("asks_for_another_try", 2)
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert second["at"] - first["at"] >= 1


def test_raw_task_says_itself_how_it_ended(server):
    answer = server.call(ENQUEUE, "shop.tasks.answers", [[-1, -2]], {})
    server.site.wait_for("task_finished", id=answer["id"])
    assert len(server.site.events("answers", id=answer["id"])) == 2
    assert not server.site.events("task_failed", id=answer["id"])


@pytest.mark.parametrize(
    ("codes", "reason"),
    [([0], "SPOOL_IGNORE"), ([7, 7, 7], "returned 7"), ([-1, -1, -1], "SPOOL_RETRY")],
)
def test_raw_task_that_never_succeeds_stands_in_failed(server, codes, reason):
    answer = server.call(ENQUEUE, "shop.tasks.answers", [codes], {})
    (told,) = server.site.wait_for("task_failed", id=answer["id"])
    assert reason in told["reason"]
    assert len(server.site.events("answers", id=answer["id"])) == len(codes)


def test_forever_task_repeats_until_it_stops_itself(server, name):
    answer = server.call(ENQUEUE, "shop.tasks.repeats", [name, 4], {})
    server.site.wait_for("task_finished", id=answer["id"])
    times = [event["at"] for event in server.site.events("repeats", tag=name)]
    assert len(times) == 4
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.05


def test_task_that_kills_its_process_ends_in_failed_and_others_go_on(server, name):
    answer = server.call(ENQUEUE, "shop.tasks.kills_its_process", [name], {})
    server.call(ENQUEUE, "shop.tasks.ordered", [name], {})
    server.site.wait_for("ordered", label=name)
    wait = server.site.wait_for("task_failed", id=answer["id"])
    assert "killed the process (signal 9)" in wait[0]["reason"]
    assert len(server.site.events("kills_its_process", tag=name)) == 2
    assert "signal 9" in failed(server, answer["id"])["reason"]


def test_kept_result_is_found_from_the_web_worker(server, name):
    answer = server.call(ENQUEUE, "shop.tasks.on_the_loop", [name], {}, using={"backend": "kept"})
    server.site.wait_for("task_finished", id=answer["id"])
    assert server.call("mysite.calls.result_of", answer["id"]) == ["SUCCESSFUL", name]


# Where it runs


def test_each_task_finds_clean_surroundings(server, name):
    for number in range(2):
        server.call(ENQUEUE, "shop.tasks.look_around", [f"{name}-{number}"], {})
    done = [*server.site.wait_for("look_around", tag=f"{name}-0")]
    done += server.site.wait_for("look_around", tag=f"{name}-1")
    assert done[0]["pid"] == done[1]["pid"]
    for event in done:
        assert event["visitor"] is None
        assert (event["language"], event["time_zone"]) == ("de", "Europe/Berlin")
