"""The calibrated rule for copies: its false-positive rate, its interval, and its power where the field's has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.metrics.calibration import (
    FIELD_THRESHOLD,
    Distances,
    calibrate,
    calibrate_scores,
    chance_of,
    copy_shares,
)
from memsweep.metrics.neighbours import nearest
from memsweep.metrics.novelty import share
from scipy.stats import betabinom
from sklearn.datasets import load_digits

RATIOS = st.lists(st.integers(0, 40).map(lambda count: count / 20), min_size=1, max_size=300)


def of_ratios(ratios: np.ndarray) -> Distances:
    """Distances of these ratios, with d2 = 1."""
    return Distances(np.asarray(ratios, float), np.ones_like(ratios, float))


def to(queries: np.ndarray, references: np.ndarray) -> Distances:
    return Distances(*nearest(queries, references).distance.T)


@examples(200)
@given(RATIOS, st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_no_more_held_out_images_are_copies_than_the_rate_allows_but_exact_ones(
    ratios: list[float], rate: float
) -> None:
    found = calibrate(of_ratios(np.array(ratios)), rate)
    allowed = math.floor(rate * (len(ratios) + 1) + 1e-9)
    exact = sum(ratio == 0 for ratio in ratios)
    assert found.achieved.value * len(ratios) <= max(allowed, exact) + 1e-9
    # and a greater threshold, at the next ratio that there is, would allow too many
    above = sorted(ratio for ratio in ratios if ratio >= found.threshold)
    if above:
        assert sum(ratio <= above[0] for ratio in ratios) > allowed


def test_of_99_images_one_in_a_hundred_is_below_and_of_98_none() -> None:
    ratios = np.random.default_rng(0).random(99)
    found = calibrate(of_ratios(ratios), 0.01)
    assert found.achieved.value == 1 / 99
    assert found.is_possible
    few = calibrate(of_ratios(ratios[:98]), 0.01)
    assert few.achieved.value == 0
    assert not few.is_possible
    assert of_ratios(np.array([0, ratios.min()])).copies(few.threshold).tolist() == [True, False]


@pytest.mark.parametrize("n", [99, 300])
def test_a_new_held_out_image_is_a_copy_at_the_rate_and_the_interval_covers_it(n: int) -> None:
    """Uniform ratios, so that the share of the population below a threshold is the threshold."""
    source, rate = np.random.default_rng(0), 0.05
    found = [calibrate(of_ratios(source.random(n)), rate, 0.9) for _ in range(600)]
    thresholds = np.array([each.threshold for each in found])
    exact = math.floor(rate * (n + 1)) / (n + 1)
    assert thresholds.mean() == pytest.approx(exact, abs=4 * thresholds.std() / 600**0.5)
    covered = np.mean([each.achieved.ci_low <= each.threshold <= each.achieved.ci_high for each in found])
    assert covered > 0.9 - 3 * (0.09 / 600) ** 0.5


def test_several_sets_make_the_threshold_steadier_and_the_interval_no_narrower_than_one() -> None:
    source = np.random.default_rng(0)
    one = [calibrate(of_ratios(source.random(200)), 0.05) for _ in range(200)]
    several = [calibrate(of_ratios(source.random((8, 200))), 0.05) for _ in range(200)]
    assert np.std([each.threshold for each in several]) < 0.5 * np.std([each.threshold for each in one])
    assert several[0].achieved.count == 200
    same = calibrate(of_ratios(np.tile(np.linspace(0.01, 1, 200), (3, 1))), 0.05)
    alone = share(np.arange(200) < 10, 0.95)
    assert same.achieved.value == pytest.approx(10 / 200)
    assert (same.achieved.ci_low, same.achieved.ci_high) == pytest.approx((alone.ci_low, alone.ci_high))


def test_chance_is_how_often_samples_that_copy_nothing_have_so_many_copies() -> None:
    source = np.random.default_rng(0)
    found = calibrate(of_ratios(source.random(199)), 0.05)
    assert chance_of(7, 100, found) == pytest.approx(betabinom.sf(6, 100, 10, 190))
    assert chance_of(0, 100, found) == pytest.approx(1)
    # All of 100 are among the 10 least of 199 + 100: 10 · 11 · ... · 109 / (200 · 201 · ... · 299)
    exact = math.exp(sum(math.log((10 + i) / (200 + i)) for i in range(100)))
    assert exact < 1e-40
    assert chance_of(100, 100, found) == pytest.approx(exact, rel=1e-9)
    small = 0
    for _ in range(1000):
        held_out, generated = of_ratios(source.random(199)), of_ratios(source.random(100))
        rule = calibrate(held_out, 0.05)
        small += chance_of(int(generated.copies(rule.threshold).sum()), 100, rule) <= 0.05
    assert small / 1000 < 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5
    assert math.isnan(chance_of(3, 100, calibrate(of_ratios(source.random(20)), 0.01)))


@examples(50)
@given(RATIOS, st.sampled_from([0.01, 0.05, 0.3]))
def test_a_threshold_on_any_score_is_that_on_ratios_of_the_same_numbers(ratios: list[float], rate: float) -> None:
    scores = np.array(ratios)
    found = calibrate_scores(scores, rate)
    assert found == calibrate(of_ratios(scores), rate)
    assert found.achieved.value == np.mean(scores < found.threshold)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 7])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(of_ratios(np.ones(5)), rate)


def test_without_held_out_images_no_rate_can_be_set() -> None:
    with pytest.raises(ValueError, match="no held-out images"):
        calibrate(of_ratios(np.ones(0)))
    table = copy_shares(of_ratios(np.array([0.1, 0.9])), None)
    assert table["rule"].tolist() == ["field"]
    assert table["value"].tolist() == [0.5]
    assert table["held_out_value"].isna().all()
    assert table["held_out"].tolist() == [0]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,397 digits to train on, and 400 held out, rows of pixels in [0, 1]."""
    images = load_digits().data.astype(np.float32) / 16
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[400:]], images[order[:400]]


def noisy_copies(train: np.ndarray, count: int) -> np.ndarray:
    source = np.random.default_rng(1)
    copied = train[source.integers(len(train), size=count)]
    return copied + source.normal(0, 0.1, copied.shape).astype(np.float32)


def test_noisy_copies_are_found_at_every_size_of_the_training_set(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """The field's rule calls ever fewer of the same noisy copies so; the calibrated one, at its rate, half or more."""
    pool, held_out = digits
    by_rule: dict[str, list[float]] = {"field": [], "calibrated": []}
    for size in (16, 32, 64, 128):
        train = pool[:size]
        sets = [pool[start : start + size] for start in range(0, 8 * size, size)]
        distances = [to(held_out, each) for each in sets]
        control = Distances(np.stack([each.first for each in distances]), np.stack([each.second for each in distances]))
        table = copy_shares(to(noisy_copies(train, 500), train), control).set_index("rule")
        for rule, found in by_rule.items():
            found.append(table.loc[rule, "value"])
        assert table.loc["calibrated", "held_out_value"] == pytest.approx(0.01, abs=0.001)
        # Images that copy nothing, and took no part in the calibration
        others = to(pool[-300:], train)
        assert others.copies(table.loc["calibrated", "threshold"]).mean() < 0.04
        assert table.loc["calibrated", "chance"] < 1e-6
    assert by_rule["field"][0] > 5 * by_rule["field"][-1]
    assert by_rule["field"][-1] < 0.1
    assert 0.45 < min(by_rule["calibrated"]) < max(by_rule["calibrated"]) < 0.8
    assert FIELD_THRESHOLD == 1 / 3
