"""Onsets as functions of the threshold are those that the definitions give at each threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.departure import departure, paired_curves
from memsweep.analysis.onset import ESTIMATORS, Onset, copy_onset, loss_onsets
from memsweep.analysis.pair_onsets import bias_onset, split_onset
from memsweep.analysis.threshold_curves import (
    ThresholdCurve,
    departure_curve,
    lean_curve,
    loss_curves,
    share_curves,
    split_curve,
)
from memsweep.base.errors import UserError
from memsweep.study.onsets import ONSETS

STEPS = np.array([10, 20, 40, 80, 160, 320])
SETTINGS: dict[str, Any] = {"resamples": 20, "confidence": 0.95}


def losses(rng: np.random.Generator, last: float = 1.0) -> pd.DataFrame:
    """Of 24 items of 8 images a split: test losses turn, and surrogates leave them; the last train loss is scaled."""
    rise = np.log10(STEPS / 10)
    means = {"train": 1 / (1 + rise), "test": 1 / (1 + rise) + 0.4 * rise**2, "gaussian": 1 + 0.3 * rise}
    rows = []
    for split, mean in means.items():
        values = mean + 0.05 * rng.normal(size=(24, len(STEPS)))
        values[:, -1] *= last if split == "train" else 1
        rows.append(
            pd.DataFrame(
                {
                    "split": split,
                    "step": np.tile(STEPS, 24),
                    "item": np.repeat(np.arange(24), len(STEPS)),
                    "index": np.repeat(np.arange(24) % 8, len(STEPS)),
                    "time": np.repeat(rng.permutation(24) / 24, len(STEPS)),
                    "loss": values.ravel(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def same(curve: ThresholdCurve, threshold: float, onset: Onset) -> bool:
    found = curve.at(threshold)
    return found == {key: pytest.approx(getattr(onset, key)) for key in found}


@pytest.mark.parametrize("last", [1.0, np.nan])
def test_gaps_at_every_threshold(last: float) -> None:
    table = losses(np.random.default_rng(0), last)
    curves = loss_curves("a", table, 8, 0.95)
    assert set(curves) == {name for name in ESTIMATORS if ONSETS[name].threshold}
    told = table[table["split"] != "gaussian"]
    for threshold in (-1.0, 0.02, 0.1, 0.3, 0.7, 9.0):
        expected = loss_onsets("a", told, thresholds=dict.fromkeys(curves, threshold), **SETTINGS)
        assert all(same(curve, threshold, expected[name]) for name, curve in curves.items())
    assert all(0 < curve.noise < 0.2 for curve in curves.values())
    assert loss_curves("a", table.head(0), 8, 0.95) == {}


def test_an_evaluation_that_lacks_an_image_is_named() -> None:
    with pytest.raises(UserError, match="run a: its evaluations hold different rows"):
        loss_curves("a", losses(np.random.default_rng(0)).drop(index=3), 8, 0.95)


def test_departures_at_every_threshold() -> None:
    pair = paired_curves("a", losses(np.random.default_rng(1)), "gaussian", 50)
    (curve,) = departure_curve("departure", *pair, 0.95).values()
    for threshold in (-1.0, 0.02, 0.1, 0.3, 9.0):
        assert same(curve, threshold, departure(*pair, threshold=threshold, confidence=0.95))
    assert 0 < curve.noise < 0.3
    assert departure_curve("departure", np.empty(0), np.empty((2, 0)), np.empty((2, 0)), 0.95) == {}


def test_shares_at_every_threshold() -> None:
    rng = np.random.default_rng(2)
    copied = rng.random((50, len(STEPS))) < np.linspace(0, 0.8, len(STEPS))
    near = pd.DataFrame(
        {
            "reference": "train",
            "step": np.tile(STEPS, 50),
            "index": np.repeat(np.arange(50), len(STEPS)),
            "distance": np.where(copied, 0.1, 0.9).ravel(),
            "second_distance": 1.0,
        }
    )
    own = {"run_id": "a", "metric": "f_mem", "reference": "train", "step": STEPS, "value": copied.mean(axis=0)}
    control = {**own, "reference": "control", "value": 0.0}
    metrics = pd.concat([pd.DataFrame({**rows, "ci_high": 0.07}) for rows in (own, control)])
    curve = share_curves(metrics.sample(frac=1, random_state=0), "f_mem")["a"]
    for share in (0.01, 0.1, 0.3, 0.95):
        assert same(curve, share, copy_onset("a", near, copy_threshold=1 / 3, share=share, **SETTINGS))
    assert curve.noise == 0.07
    assert np.isnan(share_curves(metrics[metrics["reference"] == "train"], "f_mem")["a"].noise)


def test_pairs_at_every_threshold() -> None:
    rng = np.random.default_rng(3)
    parts = []
    for differs, rise in (("subset", 1.0), ("seed", 0.2)):
        values = rng.random((30, len(STEPS))) * (1 + rise * np.log10(STEPS))
        rows = {"differs": differs, "other_run_id": differs, "step": np.tile(STEPS, 30), "distance": values.ravel()}
        lean = np.where(values > 0.9, 1.0, 0.5).ravel() if differs == "subset" else np.nan
        parts.append(pd.DataFrame({**rows, "index": np.repeat(np.arange(30), len(STEPS)), "lean": lean}))
    paired = pd.concat(parts, ignore_index=True)
    for name, of, onset in (("bias", lean_curve, bias_onset), ("split", split_curve, split_onset)):
        curve = of("a", paired, 50, 0.95)[name]
        for threshold in (0.4, 0.7, 0.8, 1.5, 2.0, 9.0):
            assert same(curve, threshold, onset("a", paired, threshold=threshold, **SETTINGS))
        chance = {"bias": 0.5, "split": 1.0}[name]
        assert chance < curve.noise < chance + 0.6
        assert of("a", paired.head(0), 50, 0.95) == {}
