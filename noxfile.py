"""The matrix: what is tested here is what the package claims to run on."""

import fcntl
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

MATRIX = [("3.10", "5.2"), ("3.11", "5.2"), ("3.12", "6.0"), ("3.12", "6.1"), ("3.13", "6.1")]
FULL = [("3.11", "5.2"), ("3.12", "6.1")]
"""Where together every test runs; elsewhere the unit tests, Django's own, and tasks under a real uWSGI."""

TASKS = "tests/integration/test_tasks.py"
DATABASE = ["tests/integration/test_database.py", "tests/integration/test_outbox.py"]
CRON = [
    "tests/integration/test_cron.py",
    "tests/integration/test_cron_classes.py",
    "tests/yardstick/test_django_cron.py",
]
ON_SERVERS = {
    FULL[0]: {"postgresql": [TASKS, *DATABASE, *CRON], "mariadb": [TASKS]},
    FULL[1]: {"postgresql": [TASKS], "mariadb": [TASKS, *DATABASE, *CRON]},
}
"""What is tried on the database servers beside the unit tests that use one: the nodes of periodic jobs,
which take minutes, once on each."""

ONCE = {
    FULL[0]: [
        "tests/browser",
        "tests/integration/test_arguments.py",
        "tests/integration/test_demo.py",
        "tests/integration/test_disk.py",
        "tests/integration/test_docs.py",
        "tests/integration/test_executors.py",
        "tests/integration/test_neighbours.py",
        "tests/torture",
        "tests/types",
    ],
    FULL[1]: [
        "tests/integration/test_attempts.py",
        "tests/integration/test_clock.py",
        "tests/integration/test_deaths.py",
        "tests/integration/test_doctor.py",
        "tests/integration/test_faults.py",
        "tests/integration/test_outbox.py",
        "tests/integration/test_setups.py",
        "tests/integration/test_wheel.py",
        *CRON,
    ],
}
"""What takes longest: each full run leaves out, on SQLite, what the other one tries."""

MEASURES = Path(".cache/coverage").resolve()
"""Where each process of a measured run leaves what it covered."""

BUILDING = Path(".cache/building").resolve()
"""Locked while this checkout is built."""


@nox.session(python="3.12")
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Check the package's types, strictly, on the Django whose stubs know everything we use."""
    session.install("mypy", "django-stubs", "types-uWSGI")
    _install_this(session, "Django~=5.2.0", ".[prometheus,rich]")
    session.run("mypy")


@nox.session(python="3.12")
def docs(session: nox.Session) -> None:
    """Build the documentation; whatever does not resolve is an error."""
    session.install("-r", "docs/requirements.txt")
    _install_this(session, ".[prometheus]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session
@nox.parametrize("python,django", MATRIX)
def tests(session: nox.Session, django: str) -> None:
    """Run the tests on SQLite."""
    _install(session, django)
    pair = (session.python, django)
    if pair not in FULL:
        session.run(
            "pytest", "-q", "tests/unit", TASKS, "tests/yardstick", env={"DATABASE": "sqlite"}
        )
        return
    others = [
        f"--ignore={path}" for full_run in FULL if full_run != pair for path in ONCE[full_run]
    ]
    session.run("pytest", "-q", *others, env={"DATABASE": "sqlite"})


@nox.session
@nox.parametrize("python,django", FULL)
def servers(session: nox.Session, django: str) -> None:
    """Run on PostgreSQL and MariaDB what a database can make a difference to."""
    _install(session, django)
    session.install("mysqlclient>=2.2.1")
    for server, selection in ON_SERVERS[session.python, django].items():
        session.run("pytest", "-q", "-m", "django_db", "tests/unit", env={"DATABASE": server})
        session.run("pytest", "-q", *selection, env={"DATABASE": server})


def _install(session: nox.Session, django: str) -> None:
    session.install(f"Django~={django}.0", "-r", "tests/requirements.txt")
    _install_this(session, "-e", ".[uwsgi]", f"Django~={django}.0")
    # Hundreds of processes are started, each of which would compile it anew where none may write.
    session.run("python", "-m", "compileall", "-q", "django_spooler")


def _install_this(session: nox.Session, *what: str) -> None:
    """Install this checkout; its build leaves files in it, and sessions run beside each other."""
    BUILDING.parent.mkdir(exist_ok=True)
    with BUILDING.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        session.install(*what)


@nox.session(python="3.12", default=False)
def coverage(session: nox.Session) -> None:
    """Print what the tests cover, uWSGI's processes counted but for those that were killed.

    Not part of the gate: measured, a test takes half as long again, and its processes end otherwise
    than a site's do.
    """
    _install(session, FULL[-1][1])
    session.install("coverage>=7.13")
    shutil.rmtree(MEASURES, ignore_errors=True)
    MEASURES.mkdir(parents=True)
    env = {"DATABASE": "sqlite", "COVERAGE_FILE": str(MEASURES / "data")}
    session.run("coverage", "run", "-m", "pytest", "-q", env=env)
    session.run("coverage", "combine", "--quiet", env=env)
    session.run("coverage", "report", env=env)
