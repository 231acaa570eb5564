"""Precision, recall, density and coverage, against the package of those who defined the latter two."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics.balls import Balls, Support, support
from prdc import compute_prdc

Metrics = dict[str, float]


def means(found: Support) -> Metrics:
    return {
        "precision": found.is_real.mean(),
        "recall": found.is_recalled.mean(),
        "density": found.balls.mean(),
        "coverage": found.is_covered.mean(),
    }


def by_prdc(reference: np.ndarray, generated: np.ndarray, k: int) -> Metrics:
    return compute_prdc(reference.astype(np.float64), generated.astype(np.float64), k)


@examples(15)
@given(st.integers(7, 60), st.integers(7, 60), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**31))
def test_they_are_those_of_prdc(m: int, n: int, k: int, dimension: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    generated = source.normal(0.3, 1.2, (m, dimension)).astype(np.float32)
    reference = source.normal(size=(n, dimension)).astype(np.float32)
    found = means(support(Balls.around(generated, k), Balls.around(reference, k)))
    assert found == pytest.approx(by_prdc(reference, generated, k), abs=1e-12)


def test_they_are_those_of_prdc_in_many_dimensions_and_blocks() -> None:
    source = np.random.default_rng(0)
    reference = source.random((2100, 200), dtype=np.float32)
    generated = np.concatenate([reference[:20], source.random((100, 200), dtype=np.float32)])
    found = means(support(Balls.around(generated[20:], 5), Balls.around(reference, 5)))
    assert found == pytest.approx(by_prdc(reference, generated[20:], 5), abs=1e-12)


@pytest.mark.parametrize("offset", [0, 1000])
def test_a_copy_is_on_the_edge_of_the_balls_that_it_is_the_edge_of_and_so_outside(offset: float) -> None:
    """On whole numbers, whose distances have no rounding, every definition says the same."""
    source = np.random.default_rng(0)
    reference = np.unique(source.integers(0, 9, (60, 3)), axis=0).astype(np.float32) + np.float32(offset)
    found = support(Balls.around(reference, 3), Balls.around(reference, 3))
    distance = np.sqrt(np.square(reference[:, None].astype(float) - reference).sum(axis=-1))
    radii = np.sort(distance, axis=1)[:, 3]
    np.testing.assert_array_equal(found.balls * 3, (distance < radii[:, None]).sum(axis=0))


def test_fewer_points_than_a_ball_has_neighbours_are_refused() -> None:
    points = np.random.default_rng(0).random((5, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="6 neighbours asked for among 5"):
        Balls.around(points, 5)
