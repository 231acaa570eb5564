"""What README.md shows is what it says, tried on a study that has been run."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from helpers.configs import ROOT
from helpers.projects import Project

SNIPPETS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def run(snippet: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a snippet leaves, with the tiny study in place of the embedded one."""
    monkeypatch.chdir(project.folder)
    names: dict[str, Any] = {}
    exec(snippet.replace("results/digits", "results/tiny"), names)
    return names


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_reads_every_row(snippet: str, finished_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = run(snippet, finished_once, monkeypatch)["losses"]
    files = list((finished_once.results / "train").rglob("losses.parquet"))
    assert len(losses) == sum(len(pd.read_parquet(file)) for file in files) > 0


@pytest.mark.parametrize("snippet", SNIPPETS)
@pytest.mark.parametrize(
    ("folder", "table"),
    [("train", "runs"), ("train", "samples"), ("measure", "metrics"), ("measure", "neighbours")],
)
def test_a_snippet_reads_any_other_table(
    snippet: str, folder: str, table: str, finished_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = snippet.partition("runs = ")[0]  # what follows is about losses
    changed = reading.replace("results/digits/train", f"results/digits/{folder}").replace(
        "losses.parquet", f"{table}.parquet"
    )
    found = run(changed, finished_once, monkeypatch)["losses"]
    expected = pd.concat(map(pd.read_parquet, sorted((finished_once.results / folder).rglob(f"{table}.parquet"))))
    assert set(found.columns) >= set(expected.columns)
    assert sorted(found["run_id"]) == sorted(expected["run_id"])
    if table == "runs":
        sizes = dict(zip(found["run_id"], found["train_size"], strict=True))
        assert sizes == dict(zip(expected["run_id"], expected["train_size"], strict=True))


def test_the_mean_of_the_snippet_is_that_of_all_runs_of_a_size(
    finished_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = run(SNIPPETS[0], finished_once, monkeypatch)["mean"]
    trajectories = finished_once.table("tables/trajectories.parquet")
    assert set(mean.index.get_level_values("train_size")) == {8, 16}
    assert set(mean.index.get_level_values("step")) == set(trajectories["step"])


def test_the_readme_has_snippets() -> None:
    assert len(SNIPPETS) == 3
