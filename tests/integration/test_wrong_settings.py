"""Settings that cannot work: who tells of them, and what goes on all the same."""

import pytest

from .server import CallError
from .setups import BARE

WRONG = {"OPTIONS": {"MAX_ATEMPTS": 3}}
FINDING = "OPTIONS has an unknown entry 'MAX_ATEMPTS': did you mean MAX_ATTEMPTS?"


def test_uwsgi_tells_of_them_as_it_starts_and_the_web_worker_as_it_enqueues(launch):
    server = launch.server(BARE, **WRONG)
    assert FINDING in server.log
    assert server.request("GET", "/").status == 200
    with pytest.raises(CallError) as caught:
        server.call("mysite.calls.enqueue", "shop.tasks.echo", [1], {})
    assert {"InvalidOptions", "ImproperlyConfigured"} <= set(caught.value.kinds)
    assert FINDING in caught.value.message


def test_plain_worker_and_system_check_refuse_to_go_on(launch):
    site = launch.site(**WRONG)
    for command in ("check", "spooler work --until-empty"):
        with pytest.raises(AssertionError) as caught:
            site.manage(*command.split())
        assert FINDING in str(caught.value)
        assert "Traceback" not in str(caught.value)
