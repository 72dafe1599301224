"""Python inside uWSGI, and what becomes of a stop while uWSGI loads the site.

Before its master is in its loop, uWSGI ignores SIGTERM, and SIGINT only sets a mark of Python's: it is
raised in whatever is imported at that moment, uWSGI prints it, and the server comes up without that.
So this is the first module of the package that is imported, and imports next to nothing itself.
"""

import signal
import sys
from functools import cache
from types import ModuleType


@cache
def uwsgi_module() -> ModuleType | None:
    """Return the module uWSGI gives to the Python it embeds, None outside uWSGI."""
    try:
        import uwsgi
    except ImportError:
        return None
    return uwsgi if hasattr(uwsgi, "masterpid") else None


def _obey_signals_during_the_start() -> None:
    """Let SIGINT, and SIGTERM where it means a stop, end a master that is not yet in its loop.

    One that came too early for that, and was printed by uWSGI as an error, is obeyed now.
    """
    if uwsgi := _loading_master():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if "die-on-term" in uwsgi.opt:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)


def _loading_master() -> ModuleType | None:
    """Return uWSGI's module in the process that loads the site for those it will fork."""
    uwsgi = uwsgi_module()
    if uwsgi is None or uwsgi.worker_id() or uwsgi.mule_id() or uwsgi.i_am_the_spooler():
        return None
    return uwsgi


_obey_signals_during_the_start()
