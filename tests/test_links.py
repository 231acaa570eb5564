"""Every link from one page of the documentation to another leads to a file, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.configs import ROOT

FOLDERS = (".", "config", "docs", "profiles", "results", "benchmarks")
PAGES = [page for folder in FOLDERS for page in (ROOT / folder).glob("*.md")]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        if link.startswith(("https:", "http:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pages_are_found() -> None:
    assert {"README.md", "tutorial.md", "science.md", "reading_results.md"} <= {page.name for page in PAGES}
