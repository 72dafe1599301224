"""What an operator does to tasks beside the spoolers that run them."""

import json
from collections import Counter

import pytest

from .setups import SHIPPED


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_priority_is_changed_beside_running_spoolers_and_each_task_runs_once(launch, signed):
    server = launch.server(SHIPPED, OPTIONS={"SIGNED": signed, "OUTSIDE_UWSGI": "spool"})
    changed = launch.producer(server.site).call("shop.operators.reprioritize_while_they_run", 1000)
    assert changed > 10
    runs = Counter(event["label"] for event in server.site.wait_for("ordered", 1000))
    assert runs == dict.fromkeys(range(1000), 1)
    (status,) = json.loads(server.site.manage("spooler", "status", "--json"))["spoolers"]
    assert {status[state] for state in ("ready", "running", "scheduled", "failed")} == {0}
