"""The onset of a run that nobody has trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.predict import Outlook, outlooks
from memsweep.study.axes import Axis

NAMES = ("train_size", "base_channels", "batch_size", "learning_rate", "seed", "subset")
AXES = [Axis.of(name, {"type": "number"}, None) for name in NAMES]
POINT = {"train_size": 64, "parameters": 100, "batch_size": 8}


def runs_of(*sizes: int, subsets: int = 4) -> pd.DataFrame:
    rows = [
        {"train_size": size, "subset": subset, "base_channels": 8, "parameters": 100, "batch_size": 8}
        | {"learning_rate": 0.1, "seed": 0}
        for size in sizes
        for subset in range(subsets)
    ]
    return pd.DataFrame(rows).assign(run_id=[f"run{place}" for place in range(len(rows))])


def drawn(runs: pd.DataFrame, source: np.random.Generator, sigma: float = 0.1) -> pd.DataFrame:
    log = 1 + 1.5 * np.log10(runs["train_size"]) + source.normal(0, sigma, len(runs))
    of = {"run_id": runs["run_id"], "definition": "f_mem", "step": 10**log}
    return pd.DataFrame({**of, "censored": False, "left_censored": False})


def outlook(onsets: pd.DataFrame, runs: pd.DataFrame, risk: float = 0.05, **point: Any) -> Outlook:
    (found,) = outlooks(onsets, runs, AXES, {**POINT, **point}, 0.95, risk)
    return found


def test_a_run_memorises_before_the_step_as_often_as_the_risk_says() -> None:
    """New runs of new training sets, of studies drawn anew."""
    source, runs = np.random.default_rng(0), runs_of(16, 32, 64, 128)
    new = runs_of(256, subsets=1)
    early = 0
    for _ in range(400):
        found = outlook(drawn(runs, source), runs, risk=0.1, train_size=256)
        early += float(drawn(new, source)["step"].iloc[0]) < found.until
    assert early / 400 == pytest.approx(0.1, abs=0.045)


def test_less_risk_is_less_time() -> None:
    runs = runs_of(16, 32, 64)
    onsets = drawn(runs, np.random.default_rng(0))
    until = [outlook(onsets, runs, risk).until for risk in (0.001, 0.01, 0.1, 0.4)]
    assert until == sorted(until)
    assert outlook(onsets, runs, 0.025).until == pytest.approx(outlook(onsets, runs).onset.pi_low)


def test_a_point_beyond_the_sweep_is_named_with_its_distance() -> None:
    runs = runs_of(16, 32, 64)
    found = outlook(drawn(runs, np.random.default_rng(0)), runs, train_size=50_000)
    (warning,) = found.warnings
    assert warning == "train_size = 50,000 lies a factor of 781 outside of what is swept, 16 to 64"
    assert outlook(drawn(runs, np.random.default_rng(0)), runs).warnings == ()


def test_a_law_that_does_not_fit_says_so() -> None:
    runs = runs_of(16, 32, 64)
    onsets = drawn(runs, np.random.default_rng(0), sigma=0.01)
    bent = onsets.assign(step=onsets["step"] * np.where(runs["train_size"] == 32, 3.0, 1.0))
    (warning,) = outlook(bent, runs).warnings
    assert warning.startswith("the law fails its test of fit (p = ")


def test_one_training_set_speaks_for_itself_alone() -> None:
    rows = [{"batch_size": batch, "seed": seed} for batch in (4, 8, 16) for seed in (0, 1)]
    runs = pd.concat([runs_of(16, subsets=1).assign(**row) for row in rows], ignore_index=True)
    runs["run_id"] = [f"run{place}" for place in range(len(runs))]
    log = 2 - np.log10(runs["batch_size"]) + np.random.default_rng(0).normal(0, 0.05, len(runs))
    of = {"run_id": runs["run_id"], "definition": "f_mem", "step": 10**log}
    found = outlook(pd.DataFrame({**of, "censored": False, "left_censored": False}), runs, batch_size=8)
    assert found.warnings == ("all runs have one training set: what another would do is left out",)


def test_without_onsets_nothing_is_known() -> None:
    runs = runs_of(16, 32)
    censored = drawn(runs, np.random.default_rng(0)).assign(censored=True)
    found = outlook(censored, runs)
    assert math.isnan(found.onset.median)
    assert math.isnan(found.until)
    assert found.warnings == ("there is no law: no onset",)
