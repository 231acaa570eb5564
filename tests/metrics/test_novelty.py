from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics.neighbours import nearest
from memsweep.metrics.novelty import copies, share, share_of_copies
from scipy.stats import beta


def copied(samples: np.ndarray, train: np.ndarray) -> np.ndarray:
    return copies(*nearest(samples, train).distance.T, 1 / 3)


def test_a_copy_is_three_times_closer_to_one_image_than_to_any_other() -> None:
    found = copies(np.array([1, 1, 1, 0, 0, 2]), np.array([3.1, 3, 2.9, 1, 0, 2]), 1 / 3)
    np.testing.assert_array_equal(found, [True, False, False, True, True, False])


def test_training_images_are_copies_of_themselves_and_distant_images_are_not() -> None:
    source = np.random.default_rng(0)
    train = source.random((50, 64), dtype=np.float32)
    noisy = train + source.normal(0, 0.01, train.shape).astype(np.float32)
    assert copied(noisy, train).all()
    assert not copied(source.random((50, 64), dtype=np.float32), train).any()


@pytest.mark.parametrize("threshold", [1 / 3, 0.9])
def test_the_share_of_copies_is_that_of_a_search_by_hand(threshold: float) -> None:
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    samples = np.concatenate([images[:3], source.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)])
    by_hand = 0
    for sample in samples:
        squared = sorted(int(((image - sample.astype(int)) ** 2).sum()) for image in images)
        by_hand += squared[0] ** 0.5 < threshold * squared[1] ** 0.5
    assert by_hand == 3 if threshold < 0.5 else 3 < by_hand < 12
    assert share_of_copies(samples, images, threshold) == by_hand / 12


@given(
    st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_the_interval_is_that_of_clopper_and_pearson(counts: tuple[int, int], confidence: float) -> None:
    found, count = counts
    result = share(np.arange(count) < found, confidence)
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, found, count - found + 1) if found else 0.0
    high = beta.ppf(1 - tail, found + 1, count - found) if found < count else 1.0
    assert result.value == found / count
    assert result.count == count
    assert result.ci_low == pytest.approx(low, abs=1e-9)
    assert result.ci_high == pytest.approx(high, abs=1e-9)


def test_no_copy_among_ten_thousand_does_not_exclude_a_few() -> None:
    assert share(np.zeros(10_000, dtype=bool), 0.95).ci_high == pytest.approx(3.7e-4, rel=0.01)
