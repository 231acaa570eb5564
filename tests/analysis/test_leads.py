"""By what factor other onsets follow bias: by hand, and covered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.leads import leads
from scipy import stats


def study(bias: list[float], other: list[float], sizes: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [f"run{place}" for place in range(len(bias))]
    parts = [
        pd.DataFrame({"run_id": names, "definition": name, "step": steps, "censored": False, "left_censored": False})
        for name, steps in (("bias", bias), ("f_mem", other))
    ]
    return pd.concat(parts, ignore_index=True), pd.DataFrame({"run_id": names, "train_size": sizes})


def test_the_factor_is_the_geometric_mean_with_students_interval() -> None:
    onsets, runs = study([10, 20, 40], [30, 50, 200], [16, 16, 32])
    table = leads(onsets, runs, 0.9)
    assert table["train_size"].isna().tolist() == [True, False, False]
    logs = np.log([3, 2.5, 5])
    low, high = stats.t.interval(0.9, 2, loc=logs.mean(), scale=stats.sem(logs))
    first = table.iloc[0]
    assert first[["ratio", "ci_low", "ci_high"]].astype(float).tolist() == pytest.approx(
        np.exp([logs.mean(), low, high])
    )
    assert table["ratio"].tolist()[1:] == pytest.approx([np.sqrt(7.5), 5])
    assert np.isnan(table["ci_low"].iloc[2])
    assert table["runs"].tolist() == [3, 2, 1]


def test_runs_of_which_one_onset_is_censored_are_left_out_and_counted() -> None:
    onsets, runs = study([10, 20, 40], [30, 50, 200], [16, 16, 32])
    onsets.loc[0, "left_censored"] = True
    onsets.loc[5, "censored"] = True
    table = leads(onsets, runs, 0.9)
    assert table[["runs", "left_out"]].to_numpy().tolist() == [[1, 2], [1, 1], [0, 1]]
    assert table["ratio"].iloc[0] == pytest.approx(2.5)
    assert np.isnan(table["ratio"].iloc[2])


def test_without_pairs_there_are_no_leads() -> None:
    onsets, runs = study([10], [30], [16])
    assert leads(onsets[onsets["definition"] == "f_mem"], runs, 0.9).empty


def test_its_interval_covers_the_factor() -> None:
    source = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        bias = np.exp(source.normal(3, 1, 6))
        onsets, runs = study(bias.tolist(), (2 * bias * np.exp(source.normal(0, 0.3, 6))).tolist(), [16] * 6)
        first = leads(onsets, runs, 0.9).iloc[0]
        covered += first["ci_low"] <= 2 <= first["ci_high"]
    assert covered >= 255  # of 300, 270 expected
