"""The ways to run uWSGI that are tried."""

from .server import ROOT, Setup

_WEB = ("--http-socket", "{address}", "--module", "mysite.wsgi")
_SPOOLER = ("--spooler", "{spool}", "--import", "django_spooler.worker")

BARE = Setup("bare", ("--master", *_SPOOLER, *_WEB))
SHIPPED = Setup("shipped", (), spoolers=2, ini=ROOT / "uwsgi.ini")
LAZY = Setup(
    "lazy-apps",
    ("--master", "--lazy-apps", *_SPOOLER, "--spooler-import", "django_spooler.worker", *_WEB),
)
WITH_SOCKET = Setup(
    "with a socket", (*BARE.arguments, "--socket", "{socket}", "--buffer-size", "65535")
)
NO_MASTER = Setup("no master", (*_SPOOLER, *_WEB))
NO_SPOOLER = Setup(
    "no spooler",
    ("--master", "--import", "django_spooler.worker", *_WEB, "--socket", "{socket}"),
    spoolers=0,
)
WSGI_FILE = Setup(
    "wsgi-file",
    ("--master", *_SPOOLER, *_WEB[:2], "--wsgi-file", "{site}/mysite/wsgi.py"),
)
MOUNT = Setup("mount", ("--master", *_SPOOLER, *_WEB[:2], "--mount", "/=mysite.wsgi:application"))
NO_IMPORT = Setup("no import", ("--master", *_SPOOLER[:2], *_WEB))
FIRST_APP = Setup(
    "first app",
    BARE.arguments,
    {"INSTALLED_APPS": ["django_spooler", "django_cron", "shop", "mail"]},
)
