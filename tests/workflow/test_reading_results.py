"""What docs/reading_results.md shows is what it says, tried on a study that has been run."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from helpers.configs import ROOT
from helpers.documents import sections
from helpers.projects import Project
from memsweep.tables.contracts import SCHEMAS

SNIPPETS = {
    title: block.text
    for title, blocks in sections((ROOT / "docs" / "reading_results.md").read_text(), "##").items()
    for block in blocks
}
MEANING = SNIPPETS.pop("What a column means")
LOSSES = list(SNIPPETS)
ANSWERS = [title for title, text in SNIPPETS.items() if "lowest = " in text]
FILES = [title for title, text in SNIPPETS.items() if "losses.parquet" in text]
LIBRARIES = {"Polars": "polars", "DuckDB": "duckdb"}


def run(snippet: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a snippet leaves, with the tiny study in place of the embedded one."""
    monkeypatch.chdir(project.folder)
    names: dict[str, Any] = {}
    exec(snippet.replace("results/digits", "results/tiny"), names)
    return names


def snippet(title: str) -> str:
    if title in LIBRARIES:
        pytest.importorskip(LIBRARIES[title], reason=f"the snippet reads with {title}: pip install -e '.[test]'")
    return SNIPPETS[title]


def frame(table: Any) -> pd.DataFrame:
    """A reader's table as a data frame; DuckDB's is asked for it, Polars' made of its columns."""
    if isinstance(table, pd.DataFrame):
        return table
    return table.df() if hasattr(table, "df") else pd.DataFrame(table.to_dict(as_series=False))


@pytest.mark.parametrize("title", LOSSES)
def test_a_snippet_reads_every_row(title: str, finished_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = frame(run(snippet(title), finished_once, monkeypatch)["losses"])
    files = list((finished_once.results / "train").rglob("losses.parquet"))
    assert len(losses) == sum(len(pd.read_parquet(file)) for file in files) > 0


@pytest.mark.parametrize("title", ANSWERS)
def test_every_reader_gives_the_same_answer(
    title: str, finished_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = finished_once.table("tables/runs.parquet")
    rows = finished_once.table("tables/trajectories.parquet")
    expected = {
        size: min(rows[rows["run_id"].isin(of["run_id"]) & (rows["split"] == "test")]["loss"])
        for size, of in runs.groupby("train_size")
    }
    lowest = run(snippet(title), finished_once, monkeypatch)["lowest"]
    found = lowest if isinstance(lowest, pd.Series) else frame(lowest).set_index("train_size")["loss"]
    assert dict(found) == expected
    assert set(expected) == {8, 16}


@pytest.mark.parametrize("title", FILES)
@pytest.mark.parametrize(
    ("folder", "table"),
    [("train", "runs"), ("train", "samples"), ("measure", "metrics"), ("measure", "neighbours")],
)
def test_a_snippet_reads_any_other_table(
    title: str, folder: str, table: str, finished_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = re.split(r"^(?:runs|lowest) = ", snippet(title), flags=re.MULTILINE)[0]  # what follows is the question
    changed = reading.replace("results/digits/train", f"results/digits/{folder}").replace(
        "losses.parquet", f"{table}.parquet"
    )
    found = frame(run(changed, finished_once, monkeypatch)["losses"])
    expected = pd.concat(map(pd.read_parquet, sorted((finished_once.results / folder).rglob(f"{table}.parquet"))))
    assert set(found.columns) >= set(expected.columns)
    assert sorted(found["run_id"]) == sorted(expected["run_id"])
    if table == "runs":
        sizes = dict(zip(found["run_id"], found["train_size"], strict=True))
        assert sizes == dict(zip(expected["run_id"], expected["train_size"], strict=True))


def test_a_file_says_what_its_columns_mean(finished_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    meanings = run(MEANING, finished_once, monkeypatch)["meanings"]
    assert meanings == {field.name: field.metadata[b"meaning"].decode() for field in SCHEMAS["scaling"]}


def test_the_page_has_four_readers_and_arrow() -> None:
    assert ANSWERS == ["memsweep", "pandas", "Polars", "DuckDB"]
    assert [*ANSWERS[1:], "Arrow, with types that are stated"] == FILES
