"""How fidelity goes with an axis: known laws, with values below their floor and runs that ended too early."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.fidelity_trends import fidelity_trends
from memsweep.study.axes import AXES as NAMES
from memsweep.study.axes import Axis

AXES = [Axis.of(name, {"type": "number"}, None) for name in NAMES]
SIZES = [16, 32, 64, 128, 256]


def study(seed: int, exponent: float = -1.2, noise: float = 0.05) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Peaks and runs whose squared distance is 10 N^k with two repetitions a value."""
    source = np.random.default_rng(seed)
    size = np.repeat(SIZES, 2)
    square = 10 * (size / 16.0) ** exponent * 10 ** source.normal(0, noise, len(size))
    names = [f"run{place}" for place in range(len(size))]
    runs = pd.DataFrame({"run_id": names, "train_size": size, "base_channels": 8, "parameters": 100, "batch_size": 4})
    runs = runs.assign(learning_rate=0.1, seed=np.tile([0, 1], len(SIZES)), subset=0)
    shared = {"run_id": names, "definition": "f_mem", "space": "pixels", "censored": False}
    parts = [
        pd.DataFrame({**shared, "metric": "sliced_wasserstein", "value": np.sqrt(square)}),
        pd.DataFrame({**shared, "metric": "sliced_wasserstein_corrected", "value": square}),
    ]
    peaks = pd.concat(parts, ignore_index=True)
    return peaks.assign(ci_low=peaks["value"] * 0.9, ci_high=peaks["value"] * 1.1), runs


def test_a_root_and_its_square_have_one_exponent_which_is_that_of_least_squares() -> None:
    peaks, runs = study(0)
    table = fidelity_trends(peaks, runs, AXES, 0.95)
    assert table["term"].tolist() == ["train_size"] * 2
    expected = np.polyfit(np.log10(runs["train_size"]), np.log10(peaks["value"].iloc[len(runs) :]), 1)[0]
    assert table["exponent"].tolist() == pytest.approx([expected] * 2)
    assert table[["runs", "bounded_runs"]].to_numpy().tolist() == [[10, 0]] * 2


def test_values_below_the_floor_are_bounds_and_the_exponent_stays_covered() -> None:
    covered = 0
    for seed in range(60):
        peaks, runs = study(seed, noise=0.15)
        # Of the largest sets half of the values are below the floor, and the truth is below the bound
        low = (peaks["run_id"].isin(runs["run_id"][-2:])) & (peaks["metric"] == "sliced_wasserstein_corrected")
        peaks.loc[low, ["value", "ci_low", "ci_high"]] = [-0.1, -0.8, 0.9]
        fit = fidelity_trends(peaks, runs, AXES, 0.9).set_index("metric").loc["sliced_wasserstein_corrected"]
        assert fit["bounded_runs"] == 2
        covered += fit["ci_low"] <= -1.2 <= fit["ci_high"]
    assert covered >= 48  # of 60, 54 expected


def test_the_best_of_a_run_that_ended_early_is_a_bound() -> None:
    peaks, runs = study(1, noise=0.01)
    early = peaks["run_id"] == "run9"
    peaks.loc[early, "censored"] = True
    peaks.loc[early, ["value", "ci_low", "ci_high"]] *= 30
    fit = fidelity_trends(peaks, runs, AXES, 0.95).iloc[1]
    assert fit["bounded_runs"] == 1
    assert fit["exponent"] == pytest.approx(-1.2, abs=0.05)


def test_nothing_is_said_of_distances_that_are_all_at_the_floor() -> None:
    peaks, runs = study(2)
    fit = fidelity_trends(peaks.assign(value=-1.0, ci_low=-2.0, ci_high=0.5), runs, AXES, 0.95)
    assert np.isnan(fit["exponent"].iloc[1])
    assert fidelity_trends(peaks.head(0), runs, AXES, 0.95).empty
