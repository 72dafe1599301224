"""The figures that the documentation shows are those of the run that is kept."""

import json

import pytest

from benchmarks import report
from benchmarks.__main__ import ROUNDS, SIZE
from benchmarks.measure import PICTURED


@pytest.fixture(scope="module")
def run():
    return json.loads(report.RUN.read_text())


def test_page_shows_the_run(run):
    page = report.PAGE.read_text()
    assert report.comparison(run) in page
    assert page == report.with_figures(page, run)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_picture_shows_the_run(run, theme):
    picture = report.PAGE.with_name(f"speed-{theme}.svg").read_text()
    for peer in run["peers"]:
        assert peer["title"] in picture
        for figure in PICTURED:
            middle = report.median_of(peer, figure)
            assert middle is None or f">{report.number(middle)}<" in picture, figure.title


def test_readme_shows_both_pictures_and_the_command(run):
    readme = (report.ROOT / "README.md").read_text()
    assert "docs/explanation/speed-light.svg" in readme
    assert "docs/explanation/speed-dark.svg" in readme
    assert "make bench ARGS=--publish" in readme
    assert (run["size"], run["rounds"], run["missing"]) == (SIZE, ROUNDS, {}), "as it comes"
