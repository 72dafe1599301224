"""The types of tasks, as mypy and pyright see them in a site's code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("cases.py")
MARKED = {
    number
    for number, line in enumerate(CASES.read_text().splitlines(), start=1)
    if line.endswith("# E")
}


def run(*command: str) -> str:
    """Return what a checker prints; a status over 1 means that it did not get to checking."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy() -> dict[int, str]:
    """Return the errors mypy finds in the cases: line to message."""
    # Without this project's own configuration: a site has another. What it says of the package's own
    # files is left out, as it would be were they among a site's installed packages.
    out = run("mypy", "--config-file=", "--strict", "--output=json", str(CASES))
    found = [json.loads(line) for line in out.splitlines()]
    return {
        error["line"]: error["message"]
        for error in found
        if error["severity"] == "error" and Path(error["file"]).name == CASES.name
    }


def pyright() -> dict[int, str]:
    """Return the errors pyright finds: line to message."""
    out = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(CASES))
    report = json.loads(out)
    assert report["summary"]["filesAnalyzed"] == 1
    return {
        error["range"]["start"]["line"] + 1: error["message"]
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_errors_are_found_where_they_are_marked_and_nowhere_else(
    checker: Callable[[], dict[int, str]],
) -> None:
    found = checker()
    assert {line: text for line, text in found.items() if line not in MARKED} == {}
    assert found.keys() == MARKED
    assert MARKED
