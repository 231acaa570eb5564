from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep import neighbours
from memsweep.neighbours import nearest
from scipy.spatial.distance import cdist


def brute_force(queries: np.ndarray, references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = cdist(queries.astype(np.float64), references.astype(np.float64))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize(("m", "n", "d"), [(50, 300, 64), (7, 2, 5), (1, 9, 192), (200, 1000, 3072)])
def test_neighbours_are_those_of_a_float64_search(m: int, n: int, d: int) -> None:
    source = np.random.default_rng(0)
    queries, references = source.random((m, d), dtype=np.float32), source.random((n, d), dtype=np.float32)
    found = nearest(queries, references)
    index, distance = brute_force(queries, references, 2)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-12)


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(4))),
    hnp.arrays(np.uint8, st.tuples(st.integers(2, 30), st.just(4))),
)
def test_distances_are_exact_also_with_duplicates(queries: np.ndarray, references: np.ndarray) -> None:
    left, right = queries.astype(np.float32) / 255, references.astype(np.float32) / 255
    np.testing.assert_allclose(nearest(left, right).distance, brute_force(left, right, 2)[1], rtol=1e-12, atol=1e-12)


def test_a_copy_far_from_the_origin_is_found_at_distance_zero() -> None:
    references = 1000 + np.random.default_rng(0).random((500, 16), dtype=np.float32)
    found = nearest(references[:20].copy(), references)
    np.testing.assert_array_equal(found.index[:, 0], np.arange(20))
    assert not found.distance[:, 0].any()


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(1)
    queries, references = source.random((33, 8), dtype=np.float32), source.random((40, 8), dtype=np.float32)
    whole = nearest(queries, references)
    monkeypatch.setattr(neighbours, "BLOCK_ENTRIES", 200)
    np.testing.assert_array_equal(nearest(queries, references).index, whole.index)


def test_too_few_references_are_refused() -> None:
    with pytest.raises(ValueError, match="2 neighbours asked for among 1 references"):
        nearest(np.zeros((3, 2), np.float32), np.zeros((1, 2), np.float32))
