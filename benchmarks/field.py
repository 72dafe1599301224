"""Who is measured, and how each is set up: the one place that knows."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to run background tasks."""

    name: str
    title: str
    packages: tuple[str, ...]
    """Distributions whose versions tell what was measured."""

    module: str
    """In ``benchmarks.peers``."""

    setup: str
    """How it is set up, and after which advice of its documentation."""

    settings: str | None = None
    """In ``benchmarks.settings``, for what lives in a Django site."""

    services: tuple[str, ...] = ()
    """Servers it needs, of ``services.STARTERS``."""

    uwsgi_import: str | None = None
    """What uWSGI imports, for what runs in its spooler."""

    prepare: tuple[str, ...] | None = None
    """A command before the first start: arguments of Python."""

    worker: tuple[str, ...] | None = None
    """The worker's command: arguments of Python. None where uWSGI's spooler is the worker."""

    options: tuple[tuple[str, object], ...] = ()
    """OPTIONS of this project's backend."""


_MIGRATE = ("-m", "django", "migrate", "--verbosity=0")

_OURS = Peer(
    name="spooler",
    title="django-spooler",
    packages=("django-spooler", "uWSGI"),
    module="spooler",
    settings="spooler",
    uwsgi_import="django_spooler.worker",
    setup="as shipped: `uwsgi.ini` with one spooler process, `OPTIONS` with nothing but the directory",
)
_BARE = Peer(
    name="uwsgidecorators",
    title="uwsgidecorators",
    packages=("uWSGI",),
    module="uwsgidecorators",
    settings="base",
    uwsgi_import="benchmarks.peers.uwsgidecorators",
    setup="the same `uwsgi.ini` but for the import; `@spool` with plain values, not pickled"
    " arguments",
)

PEERS = (
    _OURS,
    _BARE,
    replace(
        _BARE,
        name="uwsgi-tasks",
        title="uwsgi-tasks",
        packages=("uwsgi-tasks", "uWSGI"),
        module="uwsgi_tasks",
        uwsgi_import="benchmarks.peers.uwsgi_tasks",
        setup="the same `uwsgi.ini` but for the import; the spooler executor",
    ),
    Peer(
        name="huey-redis",
        title="Huey, Redis",
        packages=("huey", "redis", "hiredis"),
        module="huey_redis",
        services=("redis",),
        worker=("-m", "huey.bin.huey_consumer", "benchmarks.peers.huey_redis.huey", "-q", "-n"),
        setup="one worker thread (its default), blocking pop, no results, no periodic tasks",
    ),
    Peer(
        name="huey-sqlite",
        title="Huey, SQLite",
        packages=("huey",),
        module="huey_sqlite",
        worker=(
            *("-m", "huey.bin.huey_consumer", "benchmarks.peers.huey_sqlite.huey", "-q", "-n"),
            *("--delay", "0.01", "--max-delay", "0.1"),
        ),
        setup="one worker thread, no results, no periodic tasks; it polls every 10 to 100 ms (its"
        " default: up to 10 s)",
    ),
    Peer(
        name="celery-redis",
        title="Celery, Redis",
        packages=("celery", "redis", "hiredis"),
        module="celery_redis",
        services=("redis",),
        worker=(
            *("-m", "celery", "--app", "benchmarks.peers.celery_redis", "worker"),
            *("--pool", "solo", "--loglevel", "ERROR"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
        setup="the solo pool (one process without a pool beside it), results ignored, rate limits"
        " off, prefetch multiplier 128, no gossip, mingle or heartbeat",
    ),
    Peer(
        name="django-q2",
        title="django-q2, Redis",
        packages=("django-q2", "redis", "hiredis"),
        module="django_q2",
        settings="django_q2",
        services=("redis",),
        prepare=_MIGRATE,
        worker=("-m", "django", "qcluster"),
        setup="one worker, Redis as its broker, one connection kept by the producer, successes not"
        " saved, no scheduler, a queue limit of 500, no recycling",
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate, PostgreSQL",
        packages=("procrastinate", "psycopg"),
        module="procrastinate",
        services=("postgresql",),
        prepare=(
            *("-m", "procrastinate", "--app", "benchmarks.peers.procrastinate.app"),
            *("schema", "--apply"),
        ),
        worker=(
            *("-m", "procrastinate", "--app", "benchmarks.peers.procrastinate.app"),
            *("worker", "--concurrency", "1"),
        ),
        setup="one job at a time, an async task, LISTEN/NOTIFY on, a synchronous connector in the"
        " producer",
    ),
    Peer(
        name="django-tasks-db",
        title="django-tasks-db, PostgreSQL",
        packages=("django-tasks-db", "psycopg"),
        module="django_tasks_db",
        settings="django_tasks_db",
        services=("postgresql",),
        prepare=_MIGRATE,
        worker=(
            *("-m", "django", "db_worker", "--interval", "0.1"),
            *("--no-startup-delay", "--no-reload", "--verbosity=0"),
        ),
        setup="one worker that polls every 100 ms (its default: 1 s), persistent connections",
    ),
    replace(
        _OURS,
        name="spooler-results",
        title="django-spooler with results, PostgreSQL",
        packages=("django-spooler", "psycopg"),
        services=("postgresql",),
        prepare=_MIGRATE,
        options=(("RESULTS", "database"),),
        setup='as shipped, with `RESULTS = "database"`, persistent connections',
    ),
)


def peer(name: str) -> Peer:
    """Return the peer of this name."""
    return next(peer for peer in PEERS if peer.name == name)
