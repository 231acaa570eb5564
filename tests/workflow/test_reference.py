"""The embedded study as it is kept in results/reference, and as it comes out anew."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest
from helpers.configs import ROOT
from helpers.loaded import programs
from helpers.projects import new_project
from helpers.reference import TABLES, differences, read
from memsweep.study.config import read_yaml
from memsweep.study.kinds import open_study

REFERENCE = ROOT / "results" / "reference" / "digits"


@pytest.fixture(scope="module")
def kept() -> dict[str, pd.DataFrame]:
    return read(REFERENCE / "tables")


def changed(kept: dict[str, pd.DataFrame], table: str, column: str, factor: float) -> dict[str, pd.DataFrame]:
    """The tables with one column multiplied."""
    return {**kept, table: kept[table].assign(**{column: kept[table][column] * factor})}


def test_it_is_of_the_study_that_the_configuration_describes(kept: dict[str, pd.DataFrame]) -> None:
    study = open_study(read_yaml(ROOT / "config" / "config.yaml"))
    steps = kept["runs"].set_index("run_id")["max_steps"].to_dict()
    assert steps == {run.run_id: run.max_steps for run in study.runs}
    assert "<title>" in (REFERENCE / "summary.html").read_text()


def test_a_table_is_like_itself(kept: dict[str, pd.DataFrame]) -> None:
    assert list(differences(kept, kept)) == []


@pytest.mark.parametrize("table", TABLES)
def test_what_is_off_is_found(table: str, kept: dict[str, pd.DataFrame]) -> None:
    column = list(TABLES[table].values)[-1]
    (said,) = differences(changed(kept, table, column, 3.0), kept)
    assert said.startswith(f"{table}: {column} is off in ")


def test_what_training_moves_is_let_pass_and_what_is_computed_is_not(kept: dict[str, pd.DataFrame]) -> None:
    assert list(differences(changed(kept, "trajectories", "loss", 1.05), kept)) == []
    assert len(list(differences(changed(kept, "baselines", "loss", 1.001), kept))) == 1


def test_rows_that_are_missing_are_found(kept: dict[str, pd.DataFrame]) -> None:
    (said,) = differences({**kept, "onsets": kept["onsets"].iloc[1:]}, kept)
    assert said.startswith("onsets: other rows: ")


def test_a_verdict_may_turn_at_the_edge_alone(kept: dict[str, pd.DataFrame]) -> None:
    claims = kept["claims"].copy()
    clear = claims.index[(claims["verdict"] == "refuted") & (claims["claim"] == "proportional to N")]
    claims.loc[clear, "verdict"] = "supported"
    (said,) = differences({**kept, "claims": claims}, kept)
    assert said == "claims: 'proportional to N' is supported for refuted"
    edge = kept["claims"].copy()
    edge.loc[clear, "ci_low"] = edge.loc[clear, "margin_high"] + 0.001
    assert list(differences({**kept, "claims": claims}, {**kept, "claims": edge})) == []


def test_it_comes_out_anew(kept: dict[str, pd.DataFrame], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--at-length"):
        pytest.skip("takes six minutes: --at-length")
    project = new_project(tmp_path / "project")
    command = [str(programs() / "python"), "-m", "snakemake", "--cores", "2", "tables"]
    subprocess.run(command, cwd=project.folder, env=project.loaded_environment, check=True)
    found = read(project.folder / "results" / "digits" / "tables")
    assert list(differences(found, kept)) == []
