"""A timer of uWSGI's own, for a spooler."""

import uwsgi
from mysite.events import record

SIGNAL = 17


def tick(signum):
    record("tick", signum=signum)


uwsgi.register_signal(SIGNAL, "spooler", tick)
uwsgi.add_timer(SIGNAL, 1)
