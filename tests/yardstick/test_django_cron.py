"""django-cron's own tests pass with our lock, whichever of the two apps comes first."""

import pytest

from tests.databases import KIND

from .cron_runner import LEFT_OUT_ON_SERVERS
from .others import ROOT, run

TESTS = 22
"""django-cron's, without the one that it skips itself."""


@pytest.mark.parametrize("apps", ["django_cron django_spooler", "django_spooler django_cron"])
def test_django_crons_own_tests_pass(apps, tmp_path):
    ran = run(
        "django_cron",
        settings="cron_settings",
        directory=tmp_path,
        path=str(ROOT),
        CRON_APPS=apps,
    )
    assert ran >= TESTS - (0 if KIND == "sqlite" else len(LEFT_OUT_ON_SERVERS))
