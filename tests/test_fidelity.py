from __future__ import annotations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memsweep.fidelity import directions, sliced_wasserstein
from scipy.stats import wasserstein_distance_nd


def value(left: np.ndarray, right: np.ndarray, projections: np.ndarray) -> float:
    return sliced_wasserstein(left, right, projections, bootstrap=2, confidence=0.95).value


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31))
def test_the_distance_is_that_of_pot(m: int, n: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    left, right = source.normal(size=(m, 5)), source.normal(1, 2, size=(n, 5))
    projections = directions(5, 20)
    expected = ot.sliced_wasserstein_distance(left, right, projections=projections)
    assert value(left, right, projections) == pytest.approx(expected, rel=1e-9)


def test_a_shift_is_as_far_as_its_projections() -> None:
    points, shift = np.random.default_rng(0).normal(size=(200, 3)), np.array([1.0, -2.0, 0.5])
    projections = directions(3, 50)
    assert value(points + shift, points, projections) == pytest.approx(np.sqrt(np.mean((shift @ projections) ** 2)))


def test_a_set_is_at_no_distance_from_itself_and_order_does_not_matter() -> None:
    points = np.random.default_rng(0).normal(size=(100, 4))
    assert value(points, points[::-1], directions(4, 10)) == 0


def test_in_one_dimension_it_bounds_the_first_wasserstein_distance() -> None:
    source = np.random.default_rng(3)
    left, right = source.normal(size=(40, 1)), source.gamma(2, size=(30, 1))
    assert value(left, right, np.ones((1, 1))) >= wasserstein_distance_nd(left, right)


def test_directions_are_unit_vectors_and_fixed() -> None:
    np.testing.assert_allclose(np.linalg.norm(directions(7, 9), axis=0), 1)
    np.testing.assert_array_equal(directions(7, 9), directions(7, 9))


def test_the_interval_covers_the_distance_of_the_distribution() -> None:
    """Samples of N(1, 1) against a fixed large sample of N(0, 1), which are at distance 1 on a line."""
    source = np.random.default_rng(0)
    reference = source.normal(size=(4000, 1))
    exact = value(source.normal(1, 1, size=(200_000, 1)), reference, np.ones((1, 1)))
    covered = 0
    for _ in range(200):
        found = sliced_wasserstein(source.normal(1, 1, size=(100, 1)), reference, np.ones((1, 1)), 60, 0.9)
        assert found.ci_low <= found.value <= found.ci_high
        covered += found.ci_low <= exact <= found.ci_high
    assert covered >= 160  # of 200, 180 expected
