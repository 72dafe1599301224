"""Tasks of uwsgidecorators, as a site has them that used the spooler before."""

import uwsgi
from mysite.events import record
from uwsgidecorators import spool, spoolforever, spoolraw


@spool
def legacy_spool(variables):
    record("legacy_spool", value=variables["value"])


@spool(pass_arguments=True)
def legacy_arguments(*args, **kwargs):
    record("legacy_arguments", args=args, kwargs=kwargs)


@spoolraw
def legacy_raw(variables):
    record("legacy_raw", value=variables["value"])
    return uwsgi.SPOOL_OK


@spoolforever
def legacy_forever(variables):
    record("legacy_forever", value=variables["value"])


def send(function, *args, **kwargs):
    """Spool a call of one of them."""
    globals()[function].spool(*args, **kwargs)
