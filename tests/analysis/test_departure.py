"""Departures: by hand, under every curve, and what the paired intervals cover."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.departure import departure, departures, excess, paired_curves
from memsweep.analysis.onset import NEVER_EVALUATED, crossing
from memsweep.base.errors import UserError

STEPS = np.array([10.0, 100.0, 1000.0, 10000.0])
SETTINGS = {"threshold": 0.5, "confidence": 0.9}


@pytest.mark.parametrize(
    ("test", "surrogate", "step"),
    [
        ([8, 4, 2, 1], [8, 4, 4, 2], 10**2.5),  # an excess of 0, 0, 1, 1: half-way on the logarithmic axis
        ([8, 4, 2, 1], [8, 4, 2, 1], math.inf),
        ([8, 4, 2, 1], [16, 8, 4, 2], 0.0),
        ([4, 2, 3, 4], [4, 2, 6, 8], math.inf),  # the test loss was lowest before: that is memorisation
        ([8, 4, 2, 3], [8, 4, 4, 6], 10**2.5),
        ([8, 4, 2, 4], [8, 4, 4, 4], math.inf),  # a single outlier, whatever stands at the lowest loss
    ],
)
def test_departures(test, surrogate, step):
    assert departures(STEPS, np.array(test, float), np.array(surrogate, float), 0.5) == pytest.approx(step)


CURVES = st.lists(st.floats(0.1, 10), min_size=4, max_size=4).map(np.array)


@given(CURVES, CURVES, st.floats(0.01, 2))
def test_a_departure_is_the_crossing_of_the_excess_or_comes_too_late(test, surrogate, threshold):
    found = departures(STEPS, test, surrogate, threshold)
    crossed = crossing(STEPS, surrogate / test - 1, threshold)
    lowest = STEPS[test.argmin()]
    assert found == (crossed if crossed <= lowest else math.inf)
    # Neither the unit of the loss nor that of the step matters
    assert departures(STEPS, 8 * test, 8 * surrogate, threshold) == pytest.approx(found)
    assert departures(2 * STEPS, test, surrogate, threshold) == pytest.approx(2 * found)


def losses(test, surrogate, copies=1):
    """Table of losses from arrays (images, evaluations), each image with as many equal noisy versions."""
    steps = STEPS[: np.shape(test)[1]]
    rows = [
        {"step": int(step), "split": split, "index": image, "item": image + copy * len(values), "loss": value}
        for split, values in (("test", test), ("gaussian", surrogate))
        for image, curve in enumerate(values)
        for step, value in zip(steps, curve, strict=True)
        for copy in range(copies)
    ]
    return pd.DataFrame(rows, columns=["step", "split", "index", "item", "loss"])


def test_what_pairs_share_cancels():
    rng = np.random.default_rng(0)
    scale = rng.lognormal(0, 1, (30, 1))
    table = losses(scale * [8, 4, 2, 1], scale * [8, 4, 4, 2])
    found = departure(*paired_curves("a run", table, "gaussian", 50), **SETTINGS)
    assert (found.step, found.ci_low, found.ci_high) == pytest.approx([10**2.5] * 3)
    curve = excess(*paired_curves("a run", table, "gaussian", 50), confidence=0.9)
    assert curve["step"].tolist() == STEPS.tolist()
    for column in ("excess", "ci_low", "ci_high"):
        assert curve[column].tolist() == pytest.approx([0, 0, 1, 1])


def test_noisy_versions_of_an_image_are_one_image():
    rng = np.random.default_rng(1)
    test, surrogate = rng.lognormal(0, 0.3, (2, 20, 4)) * [8, 4, 2, 1]
    once, thrice = (paired_curves("a run", losses(test, surrogate, copies), "gaussian", 20) for copies in (1, 3))
    for one, three in zip(once, thrice, strict=True):
        np.testing.assert_allclose(one, three)


def test_a_run_that_memorises_first_is_censored_at_its_lowest_test_loss():
    rng = np.random.default_rng(2)
    scale = rng.lognormal(0, 0.1, (30, 1))
    table = losses(scale * [4, 2, 3, 4], scale * [4, 2, 6, 8])
    found = departure(*paired_curves("a run", table, "gaussian", 50), **SETTINGS)
    assert found.censored
    assert (found.step, found.ci_high) == (100, math.inf)


def test_a_run_without_evaluations_has_not_departed():
    nothing = paired_curves("a run", losses(np.empty((0, 0)), np.empty((0, 0))), "gaussian", 10)
    assert departure(*nothing, **SETTINGS) == NEVER_EVALUATED
    assert len(excess(*nothing, confidence=0.9)) == 0


def test_curves_end_before_a_loss_that_is_none():
    table = losses(np.ones((5, 4)), np.ones((5, 4)))
    table.loc[(table["step"] == 1000) & (table["index"] == 2) & (table["split"] == "gaussian"), "loss"] = np.nan
    assert paired_curves("a run", table, "gaussian", 5)[0].tolist() == [10, 100]


def test_an_item_without_its_counterpart_is_a_sentence():
    table = losses(np.ones((5, 4)), np.ones((5, 4)))
    for damaged in (table.drop(index=7), table[table["split"] == "test"], pd.concat([table, table.tail(1)])):
        with pytest.raises(UserError, match="run a run: accepted is each item of test and gaussian once a step"):
            paired_curves("a run", damaged, "gaussian", 5)


def test_the_interval_covers_the_departure_as_often_as_it_says():
    """Of the mean curves of many images, seen through thirty of them."""
    rng = np.random.default_rng(3)
    test, surrogate = np.array([8.0, 4.0, 2.0, 1.0]), np.array([8.0, 4.4, 3.0, 2.0])
    truth = departures(STEPS, test, surrogate, 0.3)
    hits = 0
    for number in range(200):
        scale = rng.lognormal(0, 0.5, (30, 1)) * rng.lognormal(0, 0.2, (2, 30, 4))
        table = losses(scale[0] * test, scale[1] * surrogate)
        found = departure(*paired_curves(str(number), table, "gaussian", 100), threshold=0.3, confidence=0.9)
        hits += found.ci_low <= truth <= found.ci_high
    assert 0.82 <= hits / 200 <= 0.96
