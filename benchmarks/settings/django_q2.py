"""django-q2 on Redis, its fastest broker; successes are not saved and workers not recycled."""

import os

from .base import *  # noqa: F403
from .base import INSTALLED_APPS

INSTALLED_APPS += ["django_q"]
Q_CLUSTER = {
    "redis": {"host": "127.0.0.1", "port": int(os.environ.get("BENCH_REDIS", "6379"))},
    "workers": 1,
    "queue_limit": 500,
    "recycle": 1_000_000,
    "timeout": 60,
    "retry": 120,
    "save_limit": -1,
    "scheduler": False,
    "log_level": "ERROR",
}
