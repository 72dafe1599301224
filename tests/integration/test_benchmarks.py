"""The comparison with the peers, at a size that tells nothing but that it works."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from benchmarks.measure import FIGURES

from .server import ROOT

TINY = ["--size", "50", "--rounds", "1", "--seconds", "1"]


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *TINY, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_each_peer_gets_every_figure(tmp_path):
    ours = ["spooler"] if is_installed("django-spooler") else []
    run = bench("uwsgidecorators", *ours, "--json", str(tmp_path / "run.json"))
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "run.json").read_text())
    assert [peer["name"] for peer in found["peers"]] == [*ours, "uwsgidecorators"]
    for peer in found["peers"]:
        assert {name for name, values in peer["figures"].items() if values[0] > 0} == {
            figure.name for figure in FIGURES
        }
        assert peer["title"] in run.stdout
        assert peer["versions"]["uWSGI"] in run.stdout


def test_what_is_missing_is_named_and_nothing_measured():
    if is_installed("uwsgi-tasks"):
        pytest.skip("uwsgi-tasks is installed, so it is not missing")
    run = bench("uwsgidecorators", "uwsgi-tasks")
    assert run.returncode == 1
    assert "MISSING uwsgi-tasks: the package uwsgi-tasks is not installed." in run.stderr
    assert "--allow-missing" in run.stderr


def is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
