"""What a process committed and was killed before it could queue."""

import http.client

import pytest

from .setups import BARE


def test_committed_task_of_a_killed_web_worker_runs_all_the_same(launch, name):
    server = launch.server(BARE)
    with pytest.raises(http.client.RemoteDisconnected):
        server.call("shop.producers.die_after_the_commit", name)
    server.call("shop.producers.let_results_grow_old")
    (done,) = server.site.wait_for("ordered", label=name)
    assert done["pid"] in server.runners
    assert "was committed but not queued; it is now" in server.log
