"""Floors: what as many real images score, and what is left of a distance without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics.estimate import halves, standard_error
from memsweep.metrics.floors import draws_like, floor_of
from memsweep.metrics.frechet import Frechet
from memsweep.metrics.kid import Kid
from memsweep.metrics.sliced_wasserstein import SlicedWasserstein, directions

LABELS = np.arange(10)


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(0, 30))
def test_a_draw_has_as_many_of_each_label_and_no_image_twice(seed: int, count: int, more: int) -> None:
    source = np.random.default_rng(seed)
    labels = source.integers(0, 4, count)
    pool = source.permutation(np.concatenate([labels, source.integers(0, 4, more)]))
    for rows in (drawn := draws_like(labels, count, pool, 3)):
        assert sorted(pool[rows]) == sorted(labels)
        assert len(set(rows)) == count
    assert len(drawn) == 3


@given(st.integers(2, 40), st.integers(0, 5))
def test_without_labels_any_images_are_drawn_and_too_few_give_no_floor(count: int, lacking: int) -> None:
    drawn = draws_like(None, count, np.zeros(count - min(lacking, count), dtype=int), 4)
    assert len(drawn) == (0 if lacking else 4)
    assert draws_like(np.zeros(count, dtype=int), count, np.ones(3 * count, dtype=int), 4) == []


def test_the_standard_error_of_stratified_samples_is_that_of_their_mean() -> None:
    """Against the variance of means over many draws, in which labels differ much and samples of one label little."""
    source = np.random.default_rng(0)
    labels = np.repeat(LABELS, 6)
    draws = 5 * labels + source.normal(size=(4000, len(labels)))
    truth = draws.mean(axis=1).std()
    stratified = np.mean([standard_error(draw, labels)[0] ** 2 for draw in draws[:400]]) ** 0.5
    assert stratified == pytest.approx(truth, rel=0.05)
    assert standard_error(draws[0], labels)[1] == 50
    # Drawn label by label, these are surer by far than if their labels were drawn, too
    assert standard_error(draws[0], None)[0] > 10 * stratified
    # One of each does not tell how much one varies
    alone = np.arange(10.0)
    assert standard_error(alone, LABELS) == pytest.approx((alone.std(ddof=1) / 10**0.5, 9))


def classes(source: np.random.Generator, labels: np.ndarray, dimensions: int = 12) -> np.ndarray:
    """Features of images with these labels, drawn from the real distribution."""
    means = 1.5 * np.random.default_rng(1).normal(size=(10, dimensions))
    return means[labels] + source.normal(size=(len(labels), dimensions))


@pytest.mark.parametrize("name", ["sliced_wasserstein", "frechet", "kid"])
@pytest.mark.parametrize("shift", [0.0, 0.15, 0.6], ids=["real", "near", "far"])
def test_the_interval_of_a_corrected_distance_covers_that_of_the_distributions(name: str, shift: float) -> None:
    """Generators that move real images by a shift: of the squared distances, from where they agree to far away."""
    source = np.random.default_rng(2)
    labels, dimensions = np.repeat(LABELS, 10), 12
    reference = classes(source, source.integers(0, 10, 500), dimensions)
    pool_labels = source.integers(0, 10, 1500)
    pool = classes(source, pool_labels, dimensions)
    projections = directions(dimensions, 50)
    metric = {
        "sliced_wasserstein": SlicedWasserstein(reference, projections, 0.9),
        "frechet": Frechet(reference, 0.9),
        "kid": Kid(reference, 0.9),
    }[name]
    floor = floor_of(metric, pool, draws_like(labels, 100, pool_labels, 20))
    # What very large samples of both distributions are apart, without the floor that is left of them
    large = np.repeat(LABELS, 500 if name == "kid" else 3000)
    squared = metric.squared if isinstance(metric, SlicedWasserstein) else metric
    moved, real = (classes(source, large, dimensions) + offset for offset in (shift, 0.0))
    exact = squared(moved, large).value - squared(real, large).value
    covered, below = 0, 0
    for _ in range(100):
        found = floor.corrected(squared(classes(source, labels, dimensions) + shift, labels), 0.9)
        covered += found.ci_low <= exact <= found.ci_high
        below += found.value < exact
    assert covered >= 84  # of 100, 90 expected
    assert 15 <= below <= 85  # on either side


def test_a_floor_holds_another_draw_of_real_images_at_its_level() -> None:
    source = np.random.default_rng(3)
    labels = np.repeat(LABELS, 5)
    metric = SlicedWasserstein(classes(source, source.integers(0, 10, 300)), directions(12, 30), 0.9)
    pool_labels = source.integers(0, 10, 2000)
    pool = classes(source, pool_labels)
    inside = 0
    floor = floor_of(metric, pool, draws_like(labels, 50, pool_labels, 20)).distance(0.9)
    for _ in range(200):
        inside += floor.ci_low <= metric.value(classes(source, labels)) <= floor.ci_high
    assert inside >= 160  # of 200, 180 expected


def test_what_varies_less_than_real_images_is_corrected_by_too_much() -> None:
    """A generator of the means of classes has a floor of its own, lower than that of real images: said where it is."""
    source = np.random.default_rng(4)
    labels = np.repeat(LABELS, 10)
    metric = SlicedWasserstein(classes(source, source.integers(0, 10, 500)), directions(12, 50), 0.9)
    pool_labels = source.integers(0, 10, 1500)
    floor = floor_of(metric, classes(source, pool_labels), draws_like(labels, 100, pool_labels, 20))
    narrow = classes(np.random.default_rng(5), labels)
    narrow = np.stack([narrow[labels == label].mean(axis=0) for label in LABELS])[labels]
    square = metric.squared(narrow, labels)
    assert floor.corrected(square, 0.9).value == pytest.approx(square.value - floor.squares.mean())
    assert square.value > floor.squares.mean() > 0


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40))
def test_halves_share_no_sample_and_have_as_many_of_each_label(labels: list[int]) -> None:
    known = np.array(labels)
    first, second = halves(known, len(known))
    assert sorted([*first, *second]) == list(range(len(known)))
    for label in set(labels):
        assert 0 <= (known[first] == label).sum() - (known[second] == label).sum() <= 1
    assert [len(half) for half in halves(None, len(known))] == [-(-len(known) // 2), len(known) // 2]
