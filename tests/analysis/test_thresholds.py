"""Exponents at a grid of thresholds, slopes between neighbours, and the test that they are one number."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from memsweep.analysis.onset import crossing
from memsweep.analysis.threshold_curves import ThresholdCurve
from memsweep.analysis.thresholds import lack_of_fit, thresholds, thresholds_of
from memsweep.study.axes import AXES, Axis
from memsweep.study.config.schemas import schema
from scipy import stats
from statsmodels.stats.anova import anova_lm

RULES = schema()["properties"]["grid"]["properties"]["base"]["properties"]
GRID = [Axis.of(name, RULES[name], None) for name in AXES]
SIZE = GRID[0]
CONFIGURED = {"f_mem": 0.1, "loss_gap_absolute": 0.2, "loss_gap_relative": 0.5, "bias": 0.7, "split": 1.5}
STEPS = np.geomspace(1, 1e6, 121)


def study(sizes: list[int], subsets: int = 1, seeds: int = 1, batches: tuple[int, ...] = (8,)) -> pd.DataFrame:
    points = [(n, b, s, i) for n in sizes for b in batches for i in range(subsets) for s in range(seeds)]
    runs = pd.DataFrame(points, columns=["train_size", "batch_size", "seed", "subset"])
    return runs.assign(
        run_id=[f"run{place}" for place in range(len(runs))], base_channels=4, parameters=1000, learning_rate=1e-3
    )


def logistic(onset: float, noise: float = 0.01) -> ThresholdCurve:
    """A share that rises from 0 to 1, and is a half at the onset."""
    shares = 1 / (1 + (STEPS / onset) ** -2.0)
    return ThresholdCurve(STEPS, partial(crossing, STEPS, shares[None]), noise)


def test_exponents_that_depend_on_the_threshold_are_shown_to() -> None:
    """Shares rise as a power of the step that grows with N: the higher the threshold, the smaller the exponent."""
    runs = study([16, 32, 64, 128], seeds=2)
    curves = {}
    for run in runs.itertuples():
        power = 1 + np.log2(run.train_size / 16)
        shares = 1 / (1 + (STEPS / (5.0 * run.train_size)) ** -power)
        curves[run.run_id, "f_mem"] = ThresholdCurve(STEPS, partial(crossing, STEPS, shares[None]), 0.03)
    table, slopes = thresholds(curves, runs, GRID, CONFIGURED, 0.95)
    assert table["threshold"].tolist() == [0.02, 0.05, 0.1, 0.2, 0.5]
    assert set(table["term"]) == {"train_size"}  # nothing else is swept
    assert (np.diff(table["exponent"]) < 0).all()
    assert table["exponent"].iloc[-1] == pytest.approx(1, abs=0.01)
    assert table["noise"].tolist() == [0.03] * 5
    assert table["runs_in_noise"].tolist() == [8, 0, 0, 0, 0]
    for _, here in slopes.groupby("threshold"):
        assert here["low"].tolist() == [16, 32, 64]
        assert here["high"].tolist() == [32, 64, 128]
    first = slopes[(slopes["threshold"] == 0.1) & (slopes["low"] == 16)].iloc[0]
    exact = np.log2(2 * (1 / 9) ** (1 / 2) / (1 / 9))
    assert first["exponent"] == pytest.approx(exact, abs=0.02)
    assert first["runs"] == 4


def test_a_threshold_that_some_run_never_reaches_is_censored() -> None:
    runs = study([16, 32, 64], seeds=2)
    curves = {(run.run_id, "f_mem"): logistic(20.0 * run.train_size + run.seed) for run in runs.itertuples()}
    late = logistic(1.0)
    curves["run5", "f_mem"] = ThresholdCurve(STEPS, lambda threshold: np.array([np.inf]), late.noise)
    table, _ = thresholds(curves, runs, GRID, CONFIGURED, 0.95)
    assert table["censored_runs"].tolist() == [1] * 5
    assert table["power_law"].unique().tolist() == ["not testable: fewer than three values without a censored run"]
    del curves["run5", "f_mem"]  # never evaluated
    table, _ = thresholds(curves, runs, GRID, CONFIGURED, 0.95)
    assert table["censored_runs"].tolist() == [1] * 5
    assert table["runs"].tolist() == [6] * 5


def test_a_definition_of_pairs_has_the_runs_that_are_in_one() -> None:
    runs = study([16, 32, 64], seeds=2)
    curves = {(run.run_id, "bias"): logistic(run.train_size) for run in runs.itertuples() if run.seed == 0}
    table, _ = thresholds(curves, runs, GRID, CONFIGURED, 0.95)
    assert set(table["runs"]) == {3}
    assert thresholds({}, runs, GRID, CONFIGURED, 0.95)[0].empty


def test_the_configured_threshold_is_among_those_looked_at() -> None:
    assert thresholds_of("f_mem", {"f_mem": 0.3}) == [0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert thresholds_of("loss_gap_absolute", CONFIGURED) == [0.05, 0.1, 0.2, 0.4]


def onsets(runs: pd.DataFrame, bend: float, rng: np.random.Generator, sets: float = 0.0) -> pd.DataFrame:
    """Onsets ∝ N^1.5 that bend, of sets and seeds that scatter."""
    size = np.log10(runs["train_size"] / 16)
    of_set = runs.groupby(["train_size", "subset"]).ngroup().map(dict(enumerate(rng.normal(size=len(runs)))))
    y = 1 + 1.5 * size + bend * size**2 + sets * of_set + 0.05 * rng.normal(size=len(runs))
    return runs.assign(step=10**y, censored=False, left_censored=False)


def fitted(rows: pd.DataFrame, axis: Axis = SIZE) -> dict[str, Any]:
    other = "batch_size" if axis == SIZE else "train_size"
    return lack_of_fit(rows, rows.groupby(other).ngroup(), axis, 0.95)


def test_lack_of_fit_is_the_f_test_of_nested_models() -> None:
    """Along N of training sets, whose seeds are averaged; along B of runs, each among those on the same images."""
    rows = onsets(study([16, 32, 64, 128], subsets=3, batches=(4, 8, 16)), 0.3, np.random.default_rng(0))
    data = rows.assign(y=np.log10(rows["step"]), x=np.log10(rows["train_size"]), b=np.log10(rows["batch_size"]))
    sets = data.groupby(["train_size", "subset"], as_index=False)[["x", "y"]].mean()
    line, levels = (smf.ols(f"y ~ {term}", sets).fit() for term in ("x", "C(train_size)"))
    assert fitted(rows)["p_value"] == pytest.approx(anova_lm(line, levels)["Pr(>F)"].iloc[1])
    block = "C(train_size):C(subset)"
    line, levels = (smf.ols(f"y ~ {term} + {block}", data).fit() for term in ("b", "C(batch_size)"))
    batches = next(axis for axis in GRID if axis.name == "batch_size")
    assert fitted(rows, batches)["p_value"] == pytest.approx(anova_lm(line, levels)["Pr(>F)"].iloc[1])


def test_groups_that_have_no_training_set_in_common_have_an_intercept_each() -> None:
    rows = onsets(study([16, 32, 64], subsets=2, batches=(4, 8)), 0.3, np.random.default_rng(3))
    rows = rows[(rows["batch_size"] == 8) == (rows["subset"] == 1)]
    data = rows.assign(y=np.log10(rows["step"]), x=np.log10(rows["train_size"]))
    line, levels = (smf.ols(f"y ~ {term} + C(batch_size)", data).fit() for term in ("x", "C(train_size)"))
    shifted = rows.assign(step=rows["step"] * np.where(rows["batch_size"] == 8, 10, 1))
    for table in (rows, shifted):
        assert fitted(table)["p_value"] == pytest.approx(anova_lm(line, levels)["Pr(>F)"].iloc[1])


@pytest.mark.parametrize("batches", [(8,), (4, 8)])
def test_a_bend_is_found_and_a_line_left_alone_as_often_as_said(batches: tuple[int, ...]) -> None:
    """Runs on one training set have its images in common: there are two observations a size, not six or twelve."""
    rng, studies = np.random.default_rng(1), 150
    runs = study([16, 32, 64, 128], subsets=2, seeds=3, batches=batches)
    rejected = [
        sum(fitted(onsets(runs, bend, rng, sets=0.1))["power_law"] == "rejected" for _ in range(studies))
        for bend in (0.0, 2.0)
    ]
    assert stats.binomtest(rejected[0], studies, 0.05).pvalue > 0.001
    assert rejected[1] > 0.8 * studies


def test_what_cannot_be_tested_says_why() -> None:
    rng = np.random.default_rng(2)
    few = "not testable: fewer than three values"
    assert fitted(onsets(study([16, 32], seeds=3), 0, rng))["power_law"] == few
    single = fitted(onsets(study([16, 32, 64], seeds=3), 0, rng))
    assert single["power_law"] == "not testable: no repetitions, which tell scatter from bends"
    assert np.isnan(single["p_value"])
    alike = onsets(study([16, 32, 64], subsets=2), 0, rng).assign(step=lambda rows: 1.0 * rows["train_size"])
    assert fitted(alike)["power_law"] == "not testable: repetitions without scatter"
    late = onsets(study([16, 32, 64], subsets=2), 0, rng).assign(censored=lambda rows: rows["train_size"] == 64)
    assert fitted(late)["power_law"] == f"{few} without a censored run"
