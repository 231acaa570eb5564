"""The page in a browser: no network, no script errors, tables and runs that can be looked through, for everybody."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.projects import Project

pytest.importorskip("playwright.sync_api", reason="no Playwright")
from playwright.sync_api import Browser, Error, Page, sync_playwright

WIDTHS = (400, 1400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: the machine's own, or Playwright's."""
    own = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            # Root, as in a container, has no sandbox
            found = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        except Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(finished_once: Project) -> str:
    return (finished_once.results / "summary.html").as_uri()


class Visit:
    """A page that is open, what it said, and what it asked the network for."""

    def __init__(self, browser: Browser, address: str, width: int) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, accept_downloads=True)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector(".panel svg")

    def open_table(self, name: str) -> None:
        self.page.locator(f"#table-{name} > summary").click()
        self.page.wait_for_selector(f"#table-{name} tbody tr")

    def column(self, table: str, name: str) -> list[str]:
        """The cells that a table shows under a heading."""
        headings = self.page.locator(f"#table-{table} thead th").all_inner_texts()
        place = [heading.strip(" ▲▼") for heading in headings].index(name)
        rows = self.page.locator(f"#table-{table} tbody tr")
        return [rows.nth(row).locator("th, td").nth(place).inner_text() for row in range(rows.count())]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    made = Visit(browser, address, 1400)
    yield made
    assert made.said == []
    made.page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_asks_no_network_says_nothing_and_is_no_wider_than_the_screen(
    browser: Browser, address: str, width: int
) -> None:
    made = Visit(browser, address, width)
    made.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    made.page.wait_for_function("document.querySelectorAll('details[data-table] .rows').length > 10")
    assert made.page.evaluate("document.documentElement.scrollWidth") == width
    assert [url for url in made.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert made.said == []
    made.page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_accessibility_has_no_serious_violation(browser: Browser, address: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe")
    made = Visit(browser, address, width)
    made.open_table("onsets")
    made.open_table("runs")
    found: list[dict[str, Any]] = axe.Axe().run(made.page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []
    made.page.close()


def test_headings_are_in_order_and_every_image_has_a_text(visit: Visit) -> None:
    levels = visit.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(heading => +heading.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    texts = visit.page.evaluate("[...document.querySelectorAll('img')].map(image => image.alt)")
    assert len(texts) > 5
    assert all(len(text) > 20 for text in texts)


def test_a_table_sorts_by_a_column_and_back(visit: Visit) -> None:
    visit.open_table("onsets")
    heading = visit.page.locator("#table-onsets thead th", has_text="step").first
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    upwards = [float(cell) for cell in visit.column("onsets", "step")]
    assert upwards == sorted(upwards)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(cell) for cell in visit.column("onsets", "step")] == upwards[::-1]


def test_a_filter_keeps_the_rows_that_hold_its_words(visit: Visit, finished_once: Project) -> None:
    visit.open_table("onsets")
    visit.page.locator("#table-onsets input[type=search]").fill("loss_gap 16")
    onsets = finished_once.table("tables/onsets.parquet").merge(finished_once.table("tables/runs.parquet"), on="run_id")
    wanted = onsets[onsets["definition"].str.contains("loss_gap") & (onsets["train_size"] == 16)]
    assert len(wanted) > 0
    visit.page.wait_for_function(f"document.querySelectorAll('#table-onsets tbody tr').length === {len(wanted)}")
    assert set(visit.column("onsets", "train_size")) == {"16"}
    assert visit.page.locator("#table-onsets [role=status]").inner_text() == f"{len(wanted)} of {len(onsets)} rows"


def test_a_table_is_downloaded_whole(visit: Visit, finished_once: Project, tmp_path: Path) -> None:
    visit.open_table("onsets")
    visit.page.locator("#table-onsets input[type=search]").fill("loss_gap")
    with visit.page.expect_download() as download:
        visit.page.locator("#table-onsets button", has_text="CSV").click()
    assert download.value.suggested_filename == "tiny_onsets.csv"
    download.value.save_as(tmp_path / "onsets.csv")
    found = pd.read_csv(tmp_path / "onsets.csv")
    table = finished_once.table("tables/onsets.parquet")
    assert found["run_id"].tolist() == table["run_id"].tolist()
    assert found["step"].tolist() == pytest.approx(table["step"].tolist(), rel=1e-5)
    runs = finished_once.table("tables/runs.parquet").set_index("run_id")
    assert found["train_size"].tolist() == runs.loc[table["run_id"], "train_size"].tolist()
    with (tmp_path / "onsets.csv").open() as lines:
        assert len({len(row) for row in csv.reader(lines)}) == 1


def test_no_run_is_a_bare_hash_and_its_link_shows_it(visit: Visit, finished_once: Project) -> None:
    visit.open_table("onsets")
    runs = finished_once.table("tables/runs.parquet")["run_id"]
    shown = visit.page.locator("#table-onsets tbody").inner_text()
    assert not any(run in shown for run in runs)
    visit.page.locator("#table-onsets tbody a", has_text="run 3").first.click()
    visit.page.wait_for_function("document.getElementById('chosen').textContent.startsWith('1 of')")
    assert visit.page.locator("#choices input:checked").count() == 1
    assert visit.page.locator("#choose-2").is_checked()
    assert visit.page.locator("#sheet-run").input_value() == "2"


def test_the_explorer_shows_the_chosen_runs(visit: Visit) -> None:
    page = visit.page
    chosen = page.locator("#choices input:checked").count()
    assert chosen == 2  # one for each number of training images
    page.wait_for_function("document.querySelector('.panel svg').querySelectorAll('.mark-line path').length === 4")
    page.locator("#choices input:not(:checked)").first.click()
    page.wait_for_function("document.querySelector('.panel svg').querySelectorAll('.mark-line path').length === 6")
    page.locator("#clear").click()
    assert page.locator("#panels").is_hidden()
    assert page.locator("#choices input:checked").count() == 0
    page.locator("#choices input").first.click()
    assert page.locator("#panels").is_visible()
    page.wait_for_function("document.querySelector('.panel svg').querySelectorAll('.mark-line path').length === 2")


def test_the_explorer_filters_runs_by_axis(visit: Visit, finished_once: Project) -> None:
    runs = finished_once.table("tables/runs.parquet")
    visit.page.locator("#clear").click()
    visit.page.locator("#filters").get_by_label("training images").select_option("16")
    assert visit.page.locator("#choices input").count() == (runs["train_size"] == 16).sum()


def test_samples_stand_at_every_step_that_was_sampled(visit: Visit, finished_once: Project) -> None:
    metrics = finished_once.table("tables/metrics.parquet").query("metric == 'f_mem' and reference == 'train'")
    runs = finished_once.table("tables/runs.parquet")["run_id"]
    place = int(visit.page.locator("#sheet-run").input_value())
    steps = sorted(metrics[metrics["run_id"] == runs[place]]["step"].astype(int))
    headings = visit.page.locator("#sheet thead th").all_inner_texts()
    assert headings == ["step", *(str(step) for step in steps)]
    assert visit.page.locator("#sheet .cell").count() == 8 * 2 * len(steps)
