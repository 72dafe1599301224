"""What the processes of a real uWSGI count, over a death and a reload."""

from django_spooler.spool.counts import MINUTE, counted, points
from django_spooler.spool.directory import Spool

from .server import wait_until
from .setups import SHIPPED

ENQUEUE = "mysite.calls.enqueue"


def test_counts_of_several_processes_outlast_a_reload_and_a_death(launch):
    server = launch.server(SHIPPED)
    spool = Spool(server.spool)

    def ended(task: str) -> list[int]:
        found = counted([spool]).tasks.get(task)
        return found.ended if found else []

    for number in range(20):
        server.call(ENQUEUE, "shop.tasks.echo", [number], {})
    wait_until(lambda: ended("shop.tasks.echo") == [20, 0, 0, 0], "all are counted")
    server.reload()
    server.call(ENQUEUE, "shop.tasks.fails_until", [3], {})
    wait_until(lambda: ended("shop.tasks.fails_until") == [1, 0, 2, 0], "each try is counted")
    server.call(ENQUEUE, "shop.tasks.kills_its_process", ["x"], {})
    wait_until(
        lambda: ended("shop.tasks.kills_its_process") == [0, 1, 1, 0], "each death is counted"
    )
    assert ended("shop.tasks.echo") == [20, 0, 0, 0]
    its = counted([spool]).tasks["shop.tasks.echo"]
    assert its.started == sum(its.waited) == sum(its.ran) == 20
    assert 0 < its.waited_sum < 20
    assert sum(point.succeeded for point in points([spool], MINUTE)) == 21
    assert len(list((server.spool / "django" / "counts").iterdir())) <= 4
