"""Onsets over repetitions: by hand, and intervals that cover where those of runs do not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.repetitions import onsets_over_repetitions
from memsweep.study.axes import AXES as NAMES
from memsweep.study.axes import Axis
from memsweep.tables.contracts import SCHEMAS
from scipy import stats

AXES = [Axis.of(name, {"type": "number"}, None) for name in NAMES]


def study(steps: np.ndarray, subsets: list[int], seeds: list[int], size: int = 16) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [f"{size} {subset} {seed}" for subset, seed in zip(subsets, seeds, strict=True)]
    runs = pd.DataFrame(
        {"run_id": names, "train_size": size, "base_channels": 8, "batch_size": 4, "learning_rate": 0.1}
    )
    sides = {"censored": False, "left_censored": False}
    onsets = pd.DataFrame({"run_id": names, "definition": "f_mem", "step": steps, **sides})
    onsets = onsets.assign(ci_low=onsets["step"] * 0.99, ci_high=onsets["step"] * 1.01)
    return onsets, runs.assign(seed=seeds, subset=subsets)


def test_sets_are_the_units_whatever_number_of_seeds_they_have() -> None:
    steps = np.array([100.0, 120.0, 200.0, 150.0])
    onsets, runs = study(steps, [0, 0, 1, 2], [0, 1, 0, 0])
    (row,) = onsets_over_repetitions(onsets, runs, AXES, 0.9).to_dict("records")
    means = [np.log([100, 120]).mean(), math.log(200), math.log(150)]
    low, high = stats.t.interval(0.9, 2, loc=np.mean(means), scale=stats.sem(means))
    assert row["onset"] == pytest.approx(math.exp(np.mean(means)))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((math.exp(low), math.exp(high)))
    assert (row["run_id"], row["run_ci_low"], row["run_ci_high"]) == ("16 0 0", 99, 101)
    assert (row["runs"], row["sets"], row["reason"]) == (4, 3, None)


def test_one_set_or_a_censored_run_has_no_interval_and_says_why() -> None:
    onsets, runs = study(np.array([100.0, 120.0]), [0, 0], [0, 1])
    (row,) = onsets_over_repetitions(onsets, runs, AXES, 0.9).to_dict("records")
    assert row["onset"] == pytest.approx(math.sqrt(100 * 120))
    assert math.isnan(row["ci_low"])
    assert row["reason"] == "one training set"
    for side in ("censored", "left_censored"):
        ended, both = study(np.array([100.0, 120.0, 90.0]), [0, 1, 2], [0, 0, 0])
        ended.loc[1, side] = True
        (row,) = onsets_over_repetitions(ended, both, AXES, 0.9).to_dict("records")
        assert math.isnan(row["onset"])
        assert row[f"{side}_runs"] == 1
        assert row["reason"] == "1 of 3 runs are censored"


def test_points_that_are_not_repeated_are_left_out_and_others_apart() -> None:
    parts = [study(np.array([50.0, 60.0]), [0, 1], [0, 0], 16), study(np.array([300.0]), [0], [0], 32)]
    onsets, runs = (pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True))
    table = onsets_over_repetitions(onsets, runs, AXES, 0.95)
    assert table["run_id"].tolist() == ["16 0 0"]
    assert table.columns.tolist() == SCHEMAS["onsets_over_repetitions"].names
    assert onsets_over_repetitions(onsets.tail(1), runs.tail(1), AXES, 0.95).empty


def test_the_interval_covers_the_onset_of_all_sets_which_that_of_a_run_does_not() -> None:
    source, covered, of_run = np.random.default_rng(0), 0, 0
    subsets, seeds = [0, 0, 1, 1, 2, 2], [0, 1] * 3
    for _ in range(400):
        sets = np.repeat(source.normal(0, 0.08, 3), 2)  # what training sets differ by, and seeds within them
        onsets, runs = study(1000 * 10 ** (sets + source.normal(0, 0.01, 6)), subsets, seeds)
        (row,) = onsets_over_repetitions(onsets, runs, AXES, 0.9).to_dict("records")
        covered += row["ci_low"] <= 1000 <= row["ci_high"]
        of_run += row["run_ci_low"] <= 1000 <= row["run_ci_high"]
    assert 0.86 <= covered / 400 <= 0.94
    assert of_run / 400 < 0.3
