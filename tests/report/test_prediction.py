"""The command that predicts, on the tables of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.configs import ROOT
from matplotlib.image import imread
from memsweep.base.errors import UserError
from memsweep.report.prediction import predict
from memsweep.study.kinds import open_study
from memsweep.tables.contracts.sweep import axis_columns
from memsweep.tables.parquet import read_table, write_table

STUDY: dict[str, Any] = {
    "study": "tiny",
    "dataset": {"name": "digits", "test_images": 500},
    "grid": {
        "base": {"train_size": 32, "base_channels": 4, "batch_size": 4, "learning_rate": 1e-3, "seed": 0},
        "products": [{"train_size": [16, 32, 64, 128], "subset": [0, 1]}, {"batch_size": [4, 8, 16]}],
    },
    "training": {"budget": {"steps": 2000}},
}
LINES = 200  # of a terminal, so that no row is broken


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's file beside its results."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    points = [(size, subset, 4) for size in (16, 32, 64, 128) for subset in (0, 1)] + [(32, 0, 8), (32, 0, 16)]
    runs = pd.DataFrame(points, columns=["train_size", "subset", "batch_size"])
    fixed = {"base_channels": 4, "learning_rate": 1e-3, "seed": 0, "dataset": "digits", "parameters": 1, "max_steps": 9}
    runs = runs.assign(**fixed, status="finished", data_hash="d", code_version="1")
    runs["run_id"] = [f"run{place}" for place in range(len(runs))]
    log = 1 + 1.5 * np.log10(runs["train_size"]) - np.log10(runs["batch_size"] / 4)
    log += np.random.default_rng(0).normal(0, 0.03, len(runs))
    onsets = pd.DataFrame({"run_id": runs["run_id"], "definition": "f_mem", "step": 10**log})
    onsets = onsets.assign(censored=False, left_censored=False, ci_low=np.nan, ci_high=np.nan)
    write_table(tmp_path / "results" / "tiny" / "tables" / "runs.parquet", "runs", runs, extra=axis_columns([]))
    write_table(tmp_path / "results" / "tiny" / "tables" / "onsets.parquet", "onsets", onsets)
    return path


def test_it_says_when_and_until_when(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict(file, [("train_size", "64")], 0.05, None)
    said = capsys.readouterr().out
    (row,) = [line for line in said.splitlines() if "f_mem >" in line]
    step, until = (int(row.split("│")[place].strip().replace(",", "")) for place in (2, 4))
    assert step == pytest.approx(10 * 64**1.5, rel=0.15)
    assert 0.7 * step < until < step
    assert "outside" not in said


def test_more_images_than_there_are_can_be_asked_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = file.parent / "prediction.png"
    predict(file, [("train_size", "50000"), ("batch_size", "8")], 0.05, output)
    said = " ".join(capsys.readouterr().out.split())
    assert "train_size = 50,000 lies a factor of 391 outside of what is swept, 16 to 128." in said
    assert imread(output).std() > 0.05


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("trainsize", "5"), "did you mean 'train_size'"),
        (("train_size", "some"), "--set train_size: found 'some'; accepted is a whole number above 0"),
        (("train_size", "-3"), "--set train_size: found -3; accepted is a whole number above 0"),
        (("batch_size", "big"), "found 'big'; accepted is a whole number"),
        (("batch_size", "["), "--set batch_size: found '['; accepted is a value as YAML writes it"),
    ],
)
def test_a_wrong_run_is_a_sentence(file: Path, given: tuple[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("[", r"\[")):
        predict(file, [given], 0.05, None)


@pytest.mark.parametrize("risk", [0.0, 0.5, 2.0, float("nan")])
def test_a_wrong_risk_is_a_sentence(file: Path, risk: float) -> None:
    with pytest.raises(UserError, match="accepted is a probability"):
        predict(file, [], risk, None)


def test_a_study_without_results_is_told_what_to_run(file: Path) -> None:
    (file.parent / "results" / "tiny" / "tables" / "onsets.parquet").unlink()
    with pytest.raises(UserError, match="run the study first: snakemake --configfile"):
        predict(file, [], 0.05, None)


def test_a_study_of_theory_has_no_onsets() -> None:
    path = ROOT / "config" / "feature_learning.yaml"
    with pytest.raises(UserError, match="accepted is sweep"):
        predict(path, [], 0.05, None)


def test_an_axis_of_a_section_has_the_value_of_the_base_point(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = {**STUDY["grid"], "products": [*STUDY["grid"]["products"], {"network.dropout": [0, 0.1]}]}
    file.write_text(yaml.safe_dump({**STUDY, "grid": grid}))
    runs = file.parent / "results" / "tiny" / "tables" / "runs.parquet"
    axes = [axis.described() for axis in open_study({**STUDY, "grid": grid}).grid_axes if "." in axis.name]
    write_table(runs, "runs", read_table(runs, "runs").assign(network_dropout=0.0), extra=axis_columns(axes))
    predict(file, [("train_size", "64")], 0.05, None)
    said = capsys.readouterr().out
    assert "network_dropout = 0" in said
    assert "unknown" not in said


def test_an_axis_without_a_value_is_asked_for(file: Path) -> None:
    base = {name: value for name, value in STUDY["grid"]["base"].items() if name != "batch_size"}
    products = [{"train_size": [16, 32], "batch_size": [4, 8]}]
    file.write_text(yaml.safe_dump({**STUDY, "grid": {"base": base, "products": products}}))
    with pytest.raises(UserError, match=r"--set batch_size: missing; accepted is a value"):
        predict(file, [("train_size", "64")], 0.05, None)
    predict(file, [("train_size", "64"), ("batch_size", "4")], 0.05, None)
