"""What the documentation says beside its snippets: names and links that could go stale."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from django_spooler.tasks import SpoolerTask

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def links(page):
    """Yield where the page's links lead to."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_lead_to_files(name):
    relative = [link for link in links(ROOT / name) if not re.match(r"https?://|#", link)]
    missing = [link for link in relative if not (ROOT / link.partition("#")[0]).exists()]
    assert not missing


def test_readme_leads_to_every_guide():
    guides = {f"docs/howto/{page.name}" for page in DOCS.glob("howto/*.md")} - {
        "docs/howto/index.md"
    }
    assert guides <= set(links(ROOT / "README.md"))


def test_reference_explains_every_system_check():
    source = (ROOT / "django_spooler" / "checks.py").read_text()
    ids = set(re.findall(r"django_spooler\.[EW]\d{3}", source))
    explained = set(re.findall(r"^`(django_spooler\.[EW]\d{3})`$", _page("checks"), re.MULTILINE))
    assert ids == explained


def test_reference_explains_every_finding_of_the_doctor():
    sources = (ROOT / "django_spooler" / "diagnosis").glob("*.py")
    text = "".join(source.read_text() for source in sources)
    ids = set(re.findall(r'Problem\(\s*"([a-z-]+)"', text))
    explained = {
        name
        for line in re.findall(r"^`[a-z`, -]+`$", _page("checks"), re.MULTILINE)
        for name in re.findall(r"[a-z-]{2,}", line)
    }
    assert ids == explained


def test_reference_explains_every_option_of_a_task():
    options = {field.name for field in fields(SpoolerTask)} - {"func", "kind", "run_after"}
    assert options <= set(re.findall(r"`(\w+)`", _page("tasks")))


def _page(name):
    return (DOCS / "reference" / f"{name}.md").read_text()
