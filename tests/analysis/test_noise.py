"""The level that chance reaches: in closed form, by brute force, and as often as it says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from memsweep.analysis.noise import gap_noise, lasting, resampled_noise, share_noise
from memsweep.analysis.onset import crossing
from scipy import stats


@given(arrays(float, st.tuples(st.integers(1, 3), st.integers(2, 6)), elements=st.floats(-10, 10)))
def test_a_curve_crosses_what_lies_below_its_lasting_level(curves: np.ndarray) -> None:
    level = lasting(curves)
    for curve, highest in zip(curves, level, strict=True):
        twice = [min(pair) for pair in itertools.pairwise(curve)]
        assert highest == max(twice)
        below, steps = highest - 1e-9 * max(1, abs(highest)), np.arange(1.0, 1 + len(curve))
        assert crossing(steps, curve, below) < math.inf
    assert lasting(curves[:, :1]).tolist() == curves[:, 0].tolist()


def losses(rng: np.random.Generator, images: int, evaluations: int = 1, spread: float = 0.2) -> pd.DataFrame:
    """Losses that depend on the time of each image far more than on the image, and fall."""
    time = np.linspace(0, 1, images)[:, None]
    mean = 1 + 3 * time + np.linspace(2, 0, evaluations)
    return pd.DataFrame(mean + spread * rng.normal(size=(images, 1)) + 0.01 * rng.normal(size=mean.shape))


@pytest.mark.parametrize("train_size", [8, 100, 10_000])
def test_the_gap_of_one_evaluation_has_the_quantile_of_a_normal_difference(train_size: int) -> None:
    rng = np.random.default_rng(0)
    found = [gap_noise(str(draw), losses(rng, 400), train_size, 0.95) for draw in range(30)]
    absolute, relative = np.mean(found, axis=0)
    expected = stats.norm.ppf(0.95) * math.hypot(0.2, 0.01) * math.sqrt(1 / train_size + 1 / 400)
    assert absolute == pytest.approx(expected, rel=0.04)
    assert relative == pytest.approx(expected / (2.5 + 2 - expected), rel=0.04)


def test_a_gap_of_a_network_that_has_memorised_nothing_stays_below_it() -> None:
    """Whether the images of the training set are noised once each, at all times, as others are, or several times."""
    rng, studies, images, size = np.random.default_rng(1), 300, 64, 16
    exceeded = 0
    for study in range(studies):
        time = np.linspace(0, 1, images)[:, None]
        mean = 1 + 3 * time + np.linspace(2, 0, 8)
        of_image = 0.2 * np.repeat(rng.normal(size=(size, 1)), images // size, axis=0)
        train = mean + rng.permutation(of_image) + 0.01 * rng.normal(size=mean.shape)
        test = losses(rng, images, 8)
        level, _ = gap_noise(str(study), test, size, 0.95)
        exceeded += bool(lasting(test.to_numpy().mean(axis=0) - train.mean(axis=0)) > level)
    assert stats.binomtest(exceeded, studies, 0.05).pvalue > 0.001


def test_a_single_image_says_nothing_of_a_gap() -> None:
    assert np.isnan(gap_noise("a", losses(np.random.default_rng(0), 1), 8, 0.95)).all()


def test_shares_are_held_against_those_of_the_control_set() -> None:
    control = pd.DataFrame({"step": [30, 10, 20], "ci_high": [0.04, 0.2, 0.03]})
    assert share_noise(control) == 0.03  # 0.2 stands alone; 0.03 and 0.04 follow one another
    assert math.isnan(share_noise(control.head(0)))


def test_resampling_counts_before_a_curve_is_above_what_it_reaches() -> None:
    rng = np.random.default_rng(2)
    flat = np.zeros((2001, 2))
    flat[1:] += rng.normal(0, 0.1, (2000, 1))
    assert resampled_noise(flat, 0.5, 0.95) == pytest.approx(0.5 + 0.1 * stats.norm.ppf(0.95), rel=0.06)
    level = resampled_noise(flat + 0.5, 0.5, 0.95)
    risen = np.concatenate([flat + 0.5, np.full((2001, 3), 2.0)], axis=1)
    risen[1:, 2:] += rng.normal(0, 1, (2000, 1))
    assert resampled_noise(risen, 0.5, 0.95) == level
    assert resampled_noise(risen[:, 2:], 0.5, 0.95) > 1
