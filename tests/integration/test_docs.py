"""The README and every page of the documentation, done as their readers would do them.

The tutorial starts in an empty folder. The README is tried in a new project, and every other page
in the one that the tutorial ended with.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .pages import PageError, Reader
from .server import ROOT, wait_until

DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial.md"
OTHERS = sorted(
    page for page in DOCS.rglob("*.md") if page != TUTORIAL and "_build" not in page.parts
)


@contextmanager
def following(page: Path, folder: Path) -> Iterator[Reader]:
    """Do what the page says; its servers end with the block."""
    reader = Reader(folder)
    try:
        reader.read(page)
        yield reader
    finally:
        reader.end()


@pytest.fixture(scope="session")
def bookshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the tutorial and return the folder of the project it ends with."""
    with following(TUTORIAL, tmp_path_factory.mktemp("tutorial")) as reader:
        return reader.folder


def test_tutorial_works_from_an_empty_folder(bookshop):
    assert (bookshop / "spool").is_dir()


def test_readme_works_in_a_new_project(tmp_path):
    for command in (["startproject", "mysite", "."], ["startapp", "shop"]):
        subprocess.run([sys.executable, "-m", "django", *command], cwd=tmp_path, check=True)
    with following(ROOT / "README.md", tmp_path) as reader:
        wait_until(lambda: "Welcome, Ada!" in reader.logs, "the task ran")


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_works_in_the_project_of_the_tutorial(page, bookshop, tmp_path):
    shutil.copytree(bookshop, tmp_path / "bookshop")
    with following(page, tmp_path / "bookshop"):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```\n",
        "```\nx = 1\n```\n",
        "    x = 1\n",
        "- a list\n\n  ```yaml\n  x: 1\n  ```\n",
        '```yaml not-run=""\nx: 1\n```\n',
        "```output\n1\n```\n",
        "```console\nfalse\n```\n",
    ],
)
def test_page_with_a_block_that_nobody_tries_fails(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(PageError), following(page, tmp_path):
        pass
