"""Authenticity by hand, and the probability to be nearer, against Mann and Whitney's statistic and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics.closeness import authentic, nearer
from memsweep.metrics.neighbours import nearest
from scipy.stats import mannwhitneyu, norm

DISTANCES = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(lambda values: np.array(values, float))


@examples(100)
@given(DISTANCES, DISTANCES, st.sampled_from([0.5, 0.95, 0.999]))
def test_it_is_the_share_of_pairs_and_its_interval_is_around_it(
    generated: np.ndarray, held_out: np.ndarray, confidence: float
) -> None:
    found = nearer(generated, held_out, confidence)
    by_hand = ((generated[:, None] < held_out) + 0.5 * (generated[:, None] == held_out)).mean()
    assert found.value == pytest.approx(by_hand, abs=1e-12)
    statistic = mannwhitneyu(held_out, generated).statistic / (len(generated) * len(held_out))
    assert found.value == pytest.approx(statistic, abs=1e-12)
    assert 0 <= found.ci_low <= found.value <= found.ci_high <= 1
    other = nearer(held_out, generated, confidence)
    assert (1 - other.ci_high, 1 - other.ci_low) == pytest.approx((found.ci_low, found.ci_high), abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_the_interval_covers_the_probability(shift: float) -> None:
    """Of normal distances shifted by s, P(d < d') is Φ(s / √2)."""
    source, covered, draws = np.random.default_rng(0), 0, 400
    for _ in range(draws):
        found = nearer(source.normal(0, 1, 60), source.normal(shift, 1, 90), 0.9)
        covered += found.ci_low <= norm.cdf(shift / 2**0.5) <= found.ci_high
    assert 0.9 - 3 * 0.015 < covered / draws < 0.9 + 4 * 0.015


def test_where_all_are_nearer_the_interval_still_has_a_width() -> None:
    found = nearer(np.zeros(50), np.ones(50), 0.95)
    assert (found.value, found.ci_high) == (1, 1)
    assert 0.85 < found.ci_low < 0.99


def test_images_are_authentic_that_are_farther_from_a_training_image_than_its_nearest_other() -> None:
    train = np.array([[0.0], [1.0], [5.0], [5.0]], np.float32)
    samples = np.array([[0.4], [-1.5], [1.9], [5.1], [3.4], [0.0]], np.float32)
    # The nearest other image of 0 is at distance 1, as that of 1; of 5 there are two, at distance 0
    expected = [False, True, False, True, True, False]
    np.testing.assert_array_equal(authentic(nearest(samples, train, 1), train), expected)


@examples(30)
@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 2**31))
def test_authenticity_is_that_of_all_pairs(n: int, m: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    train, samples = (source.integers(0, 256, (count, 6), dtype=np.uint8) for count in (n, m))
    real = np.sqrt(np.square(train[:, None].astype(float) - train).sum(axis=-1))
    np.fill_diagonal(real, np.inf)
    synthetic = np.sqrt(np.square(samples[:, None].astype(float) - train).sum(axis=-1))
    by_hand = real.min(axis=1)[synthetic.argmin(axis=1)] < synthetic.min(axis=1)
    np.testing.assert_array_equal(authentic(nearest(samples, train, 1), train), by_hand)
