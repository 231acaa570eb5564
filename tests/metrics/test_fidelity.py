from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics import estimate
from memsweep.metrics.estimate import Distance, halves
from memsweep.metrics.fidelity import DISTANCES
from memsweep.metrics.frechet import Frechet, FrechetInfinity
from memsweep.metrics.kid import Kid
from memsweep.metrics.sliced_wasserstein import SlicedWasserstein, directions
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance_nd
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric


def value(left: np.ndarray, right: np.ndarray, projections: np.ndarray) -> float:
    return SlicedWasserstein(right, projections, confidence=0.95).value(left)


@examples(50)
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
    measure = SlicedWasserstein(reference, np.ones((1, 1)), 0.9)
    for _ in range(200):
        found = measure(source.normal(1, 1, size=(100, 1)))
        assert found.ci_low <= found.value <= found.ci_high
        covered += found.ci_low <= exact <= found.ci_high
    assert covered >= 160  # of 200, 180 expected


def sets(m: int, n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features of two distributions, (m, d) and (n, d), float32."""
    source = np.random.default_rng(seed)
    mixing = source.normal(size=(d, d)) / np.sqrt(d)
    left, right = source.normal(0.5, 1.5, size=(m, d)) @ mixing, source.gamma(2, size=(n, d))
    return left.astype(np.float32), right.astype(np.float32)


def closed_form(left: np.ndarray, right: np.ndarray) -> float:
    """The Fréchet distance as it is written down, with scipy's square root of a matrix."""
    first, second = np.cov(left.astype(np.float64).T), np.cov(right.astype(np.float64).T)
    shift = left.mean(axis=0, dtype=np.float64) - right.mean(axis=0, dtype=np.float64)
    return float(shift @ shift + np.trace(first + second - 2 * sqrtm(first @ second).real))


@pytest.mark.parametrize(("m", "n"), [(200, 300), (50, 300), (9, 300), (300, 6), (5, 7), (2, 2)])
def test_the_frechet_distance_is_its_closed_form_whatever_the_ranks(m: int, n: int) -> None:
    left, right = sets(m, n, 12)
    found = Frechet(right, 0.95)(left)
    # Roots of singular matrices are only as exact as the root of the machine's precision
    assert found.value == pytest.approx(closed_form(left, right), rel=1e-5)
    assert 0 <= found.ci_low <= found.value <= found.ci_high < np.inf


@pytest.mark.parametrize(("m", "n"), [(500, 400), (30, 400), (30, 20)])
def test_the_frechet_distance_is_that_of_torch_fidelity(m: int, n: int) -> None:
    left, right = sets(m, n, 40)
    statistics = [fid_features_to_statistics(torch.from_numpy(part.astype(np.float64))) for part in (left, right)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert Frechet(right, 0.95)(left).value == pytest.approx(expected, rel=1e-5)


@examples(50)
@given(st.integers(2, 30), st.integers(1, 40), st.integers(0, 2**31))
def test_a_set_is_at_no_frechet_distance_from_itself_and_a_shift_adds_its_square(m: int, d: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(m, d))
    shift = np.random.default_rng(seed + 1).normal(size=d)
    scale = np.square(points).sum(axis=1).mean()
    assert Frechet(points, 0.95)(points[::-1]).value == pytest.approx(0, abs=1e-6 * scale)
    assert Frechet(points, 0.95)(points + shift).value == pytest.approx(shift @ shift, rel=1e-6, abs=1e-6 * scale)


def test_the_frechet_distance_is_symmetric() -> None:
    left, right = sets(15, 50, 20)
    assert Frechet(right, 0.95)(left).value == pytest.approx(Frechet(left, 0.95)(right).value, rel=1e-6)


def test_features_that_never_change_make_no_trouble() -> None:
    """Units that are dead on one side or on both, as those after a rectifier are."""
    left, right = sets(30, 40, 10)
    left[:, :3], right[:, 2:5] = 0, 0
    for reference in (right, right[:4], np.zeros_like(right)):
        for found in (Frechet(reference, 0.95)(left), Frechet(reference, 0.95)(np.zeros_like(left))):
            assert np.isfinite([found.value, found.ci_low, found.ci_high]).all()
    left_dead, right_dead = np.pad(left, ((0, 0), (0, 4))), np.pad(right, ((0, 0), (0, 4)))
    assert Frechet(right_dead, 0.95)(left_dead).value == pytest.approx(Frechet(right, 0.95)(left).value, rel=1e-6)


def brute_force_kid(left: np.ndarray, right: np.ndarray) -> float:
    """The unbiased estimate as it is written down."""
    x, y = left.astype(np.float64), right.astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def others(a: np.ndarray) -> float:
        return float((kernel(a, a).sum() - np.trace(kernel(a, a))) / (len(a) * (len(a) - 1)))

    return others(x) + others(y) - 2 * float(kernel(x, y).mean())


@examples(30)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 8), st.integers(0, 2**31))
def test_the_kernel_distance_is_its_definition(m: int, n: int, d: int, seed: int) -> None:
    left, right = sets(m, n, d, seed)
    found = Kid(right, 0.95)(left)
    assert found.value == pytest.approx(brute_force_kid(left, right), rel=1e-9, abs=1e-9)
    assert found.ci_low <= found.value <= found.ci_high


def test_the_kernel_distance_is_that_of_torch_fidelity() -> None:
    left, right = sets(60, 60, 20)
    parts = (torch.from_numpy(part.astype(np.float64)) for part in (left, right))
    expected = kid_features_to_metric(*parts, kid_subsets=1, kid_subset_size=60, verbose=False)
    assert Kid(right, 0.95)(left).value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)


def test_the_jackknife_leaves_each_sample_out_once() -> None:
    left, right = sets(12, 20, 5)
    without = [brute_force_kid(np.delete(left, number, axis=0), right) for number in range(12)]
    error = np.sqrt(11 / 12 * np.square(np.array(without) - np.mean(without)).sum())
    found = Kid(right, 0.95)(left)
    assert (found.ci_high - found.ci_low) / 2 == pytest.approx(2.200985 * error, rel=1e-6)  # Student, 11 degrees


def test_two_samples_do_not_bound_the_kernel_distance() -> None:
    left, right = sets(2, 20, 5)
    assert Kid(right, 0.95)(left) == Distance(pytest.approx(brute_force_kid(left, right)), -np.inf, np.inf)


@pytest.mark.parametrize("distance", DISTANCES)
def test_work_in_blocks_changes_nothing(distance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = sets(50, 70, 8)
    asked = {"projections": 6, "confidence": 0.9}
    whole = DISTANCES[distance](right, asked)(left)
    monkeypatch.setattr(estimate, "BLOCK_ROWS", 16)
    parts = DISTANCES[distance](right, asked)(left)
    assert (parts.value, parts.ci_low, parts.ci_high) == pytest.approx((whole.value, whole.ci_low, whole.ci_high))


@pytest.mark.parametrize("distance", [Frechet, Kid])
@pytest.mark.parametrize(
    ("samples", "dimensions", "shift"),
    [(200, 4, 0.5), (200, 32, 0.3), (60, 100, 0.3), (60, 100, 0.0)],
    ids=["many samples", "few samples", "fewer samples than dimensions", "no distance"],
)
def test_the_jackknife_interval_covers_what_samples_of_this_size_show(
    distance: type[Frechet | Kid], samples: int, dimensions: int, shift: float
) -> None:
    source = np.random.default_rng(1)
    deviation = 1 / np.sqrt(np.arange(1, dimensions + 1))

    def draw(count: int, shift: float) -> np.ndarray:
        return (source.normal(size=(count, dimensions)) + shift) * deviation

    measure = distance(draw(500, 0.0), 0.9)
    found = [measure(draw(samples, shift)) for _ in range(150)]
    expected = np.mean([one.value for one in found])
    covered = sum(one.ci_low <= expected <= one.ci_high for one in found)
    assert covered >= 122  # of 150, 135 expected; at no distance the intervals are too wide


def gaussian_frechet(mean: np.ndarray, deviation: np.ndarray, reference: np.ndarray) -> float:
    """The Fréchet distance of a Gaussian with independent coordinates to that of a reference, by scipy."""
    covariance, diagonal = np.cov(reference.T), np.diag(deviation**2)
    root = sqrtm(diagonal @ covariance).real
    shift = mean - reference.mean(axis=0)
    return float(shift @ shift + np.trace(diagonal) + np.trace(covariance) - 2 * np.trace(root))


@pytest.mark.parametrize(("dimensions", "shift"), [(4, 0.5), (30, 0.2), (30, 0.0)])
def test_the_line_in_one_over_m_reaches_the_distance_of_the_distribution_and_its_interval_covers_it(
    dimensions: int, shift: float
) -> None:
    source = np.random.default_rng(3)
    deviation = 1 / np.sqrt(np.arange(1, dimensions + 1))
    reference = source.normal(size=(1000, dimensions)) * deviation
    truth = gaussian_frechet(np.full(dimensions, shift) * deviation, deviation, reference)
    infinite, finite = FrechetInfinity(reference, 0.9), Frechet(reference, 0.9)
    draws = [(source.normal(size=(300, dimensions)) + shift) * deviation for _ in range(150)]
    found = [infinite(each) for each in draws]
    values = np.array([one.value for one in found])
    error = values.std() / np.sqrt(len(values))
    bias = np.mean([finite.value(each) for each in draws]) - truth
    # What is left of the bias lies within the simulation's noise, or is a tenth of what it was
    assert abs(values.mean() - truth) < max(3 * error, 0.1 * bias)
    assert bias > 10 * error or dimensions == 4
    assert sum(one.ci_low <= truth <= one.ci_high for one in found) >= 122  # of 150, 135 expected


def test_it_is_the_line_through_all_samples_and_both_halves() -> None:
    left, right = sets(21, 40, 3)
    strata = np.repeat([0, 1, 2], 7)
    first, second = halves(strata, 21)
    assert not set(first) & set(second)
    assert np.bincount(strata[first]).tolist() == [4, 4, 4]
    of = Frechet(right, 0.9).value
    expected = 2 * of(left) - (of(left[first]) + of(left[second])) / 2
    assert FrechetInfinity(right, 0.9)(left, strata).value == pytest.approx(expected)
    # Where no label is there twice, the halves are those of all samples
    alone = FrechetInfinity(right, 0.9)(left, np.arange(21)).value
    assert alone == FrechetInfinity(right, 0.9).value(left)
    assert np.isnan(FrechetInfinity(right, 0.9).value(left[:3]))


def test_a_prepared_distance_may_be_used_again() -> None:
    left, right = sets(20, 30, 4)
    prepared, anew = (SlicedWasserstein(right, directions(4, 5), 0.95) for _ in range(2))
    assert prepared(left) == prepared(left) == anew(left)
