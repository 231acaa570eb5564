"""Onsets of bias and of parting: by hand, over several partners, and covered by their intervals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.onset import NEVER_EVALUATED
from memsweep.analysis.pair_onsets import bias_onset, split_onset

STEPS = np.array([10, 100, 1000, 10_000])
SETTINGS = {"resamples": 50, "confidence": 0.9}


def paired(values: np.ndarray, differs: str, other: str = "b", column: str = "lean") -> pd.DataFrame:
    """Rows of ``paired_samples`` of run a from the value of each latent, (latents, steps)."""
    table = pd.DataFrame(
        {
            "run_id": "a",
            "other_run_id": other,
            "differs": differs,
            "step": np.tile(STEPS, len(values)),
            "index": np.repeat(np.arange(len(values)), len(STEPS)),
            "distance": math.nan,
            "lean": math.nan,
        }
    )
    return table.assign(**{column: np.asarray(values, float).ravel()})


def test_bias_starts_where_the_mean_lean_crosses() -> None:
    half = np.tile([0.5, 0.5, 1.0, 1.0], (20, 1))
    found = bias_onset("a", paired(half, "subset"), threshold=0.75, **SETTINGS)
    assert found.step == pytest.approx(10**2.5)
    assert not found.censored
    # Where every latent is alike there is no noise
    assert (found.ci_low, found.ci_high) == pytest.approx((10**2.5, 10**2.5))
    never = bias_onset("a", paired(np.full((20, 4), 0.5), "subset"), threshold=0.75, **SETTINGS)
    assert never.censored
    assert never.step == 1_000
    at_once = bias_onset("a", paired(np.full((20, 4), 1.0), "subset"), threshold=0.75, **SETTINGS)
    assert at_once.left_censored


def test_bias_is_the_mean_over_partners_of_the_latents_that_all_of_them_have() -> None:
    early, late = np.tile([0.5, 1.0, 1.0, 1.0], (20, 1)), np.tile([0.5, 0.5, 1.0, 1.0], (20, 1))
    rows = pd.concat([paired(early, "subset", "b"), paired(late, "subset", "c").query("index > 2")])
    found = bias_onset("a", rows, threshold=0.875, **SETTINGS)
    assert found.step == pytest.approx(10**2.5)  # half-way between 0.75 at 100 steps and 1 at 1,000
    # Pairs that differ in the seed say nothing of it
    seeds = paired(np.full((20, 4), 1.0), "seed", "d")
    with_seeds = bias_onset("a", pd.concat([rows, seeds.assign(lean=math.nan)]), threshold=0.875, **SETTINGS)
    assert with_seeds == found
    assert bias_onset("a", rows.head(0), threshold=0.7, **SETTINGS) == NEVER_EVALUATED


def test_runs_part_where_the_ratio_of_distances_crosses() -> None:
    other, seed = np.tile([0.1, 0.2, 0.4, 0.8], (20, 1)), np.tile([0.1, 0.2, 0.2, 0.2], (20, 1))
    rows = pd.concat([paired(other, "subset", "b", "distance"), paired(seed, "seed", "c", "distance")])
    assert split_onset("a", rows, threshold=1.5, **SETTINGS).step == pytest.approx(10**2.5)
    assert split_onset("a", rows, threshold=5, **SETTINGS).censored
    for differs in ("subset", "seed"):
        assert split_onset("a", rows[rows["differs"] == differs], threshold=1.5, **SETTINGS) == NEVER_EVALUATED


def test_its_interval_covers_the_onset_of_the_distribution() -> None:
    source = np.random.default_rng(0)
    truth = np.array([0.5, 0.55, 0.8, 1.0])
    expected = 10 ** (2 + (0.7 - 0.55) / (0.8 - 0.55))
    covered = 0
    for study in range(100):
        lean = ((source.random((60, 1)) < truth).astype(float) + (source.random((60, 1)) < truth)) / 2
        found = bias_onset(f"run {study}", paired(lean, "subset"), threshold=0.7, resamples=200, confidence=0.9)
        covered += found.ci_low <= expected <= found.ci_high
    assert covered >= 82  # of 100, 90 expected


@pytest.mark.parametrize("samples", [50, 200])
def test_a_model_that_knows_nothing_of_its_images_passes_the_default_threshold_hardly_ever(samples: int) -> None:
    source = np.random.default_rng(1)
    false = 0
    for study in range(200):
        # Both halves of a latent's lean by chance, anew at every step
        lean = source.integers(0, 2, (samples, 4, 2)).mean(axis=2)
        found = bias_onset(f"run {study}", paired(lean, "subset"), threshold=0.7, resamples=2, confidence=0.9)
        false += not found.censored
    assert false == 0
