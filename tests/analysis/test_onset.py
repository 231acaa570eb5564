"""Onsets: each definition by hand, what holds for every curve, and what the intervals cover."""

import hashlib
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.onset import (
    NEVER_EVALUATED,
    Onset,
    confirmable,
    copy_onset,
    crossing,
    loss_onsets,
    minimum,
    resampled,
    with_interval,
)
from memsweep.base.errors import UserError
from memsweep.study.onsets import LOSS_DEFINITIONS
from scipy.stats import binomtest

LOSS_SETTINGS = {
    "thresholds": {"loss_gap_absolute": 0.05, "loss_gap_relative": 0.5},
    "resamples": 50,
    "confidence": 0.95,
}
COPY_SETTINGS = {"copy_threshold": 1 / 3, "share": 0.2, "resamples": 50, "confidence": 0.95}


def losses(steps, train, test, images=None):
    """Table of losses from arrays (items, evaluations); `images` is the clean image of each test item."""
    parts = []
    for split, values in (("train", train), ("test", test)):
        values = np.asarray(values, float)
        items = np.arange(len(values))
        index = items if images is None or split == "train" else np.asarray(images)
        parts.append(
            pd.DataFrame(
                {
                    "step": np.tile(steps, len(values)),
                    "split": split,
                    "item": np.repeat(items, len(steps)),
                    "index": np.repeat(index, len(steps)),
                    "loss": values.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def scattered(rng, rise):
    """Losses of 20 items around 0.15, rising as given over the evaluations."""
    return rng.uniform(0.1, 0.2, (20, len(rise))) + np.array(rise)


def neighbours(steps, copies, reference="train"):
    """Table of neighbours from whether each sample copies, (samples, evaluations)."""
    copies = np.asarray(copies, bool)
    return pd.DataFrame(
        {
            "step": np.tile(steps, len(copies)),
            "index": np.repeat(np.arange(len(copies)), len(steps)),
            "reference": reference,
            "distance": np.where(copies, 0.1, 0.9).ravel(),
            "second_distance": 1.0,
        }
    )


# --- a crossing, by hand ---


@pytest.mark.parametrize(
    ("curve", "step"),
    [
        ([0.0, 0.0, 1.0, 1.0], 10**2.5),  # half-way between 100 and 1000 on the logarithmic axis
        ([0.0, 0.25, 0.75, 1.0], 10**2.5),
        ([0.4, 0.4, 0.4, 0.6], math.inf),  # nothing confirms the last evaluation
        ([0.4, 0.4, 0.6, 0.6], 10**2.5),  # it confirms the one before
        ([0.0, 9.0, 0.0, 1.0], math.inf),  # a single outlier is no onset
        ([0.0, 1.0, 1.0, 0.0], 10**1.5),  # what comes after does not matter
        ([0.0, 0.5, 1.0, 1.0], 10**2.0),  # at the threshold is not above it
        ([0.0, 0.5, 0.5, 0.5], math.inf),
        ([0.0, 1.0, 0.0, 0.0], math.inf),
        ([1.0, 1.0, 0.0, 0.0], 0.0),
        ([1.0, 0.0, 1.0, 1.0], 10**2.5),
    ],
)
def test_crossing(curve, step):
    assert crossing(np.array([10.0, 100.0, 1000.0, 10000.0]), np.array(curve), 0.5) == pytest.approx(step)


def test_crossing_of_a_single_evaluation():
    assert crossing(np.array([7.0]), np.array([[1.0], [0.0]]), 0.5).tolist() == [math.inf, math.inf]
    alone = losses([7], [[0.1]], [[0.9]])
    assert set(loss_onsets("a run", alone, **LOSS_SETTINGS).values()) == {NEVER_EVALUATED}
    assert copy_onset("a run", neighbours([7], np.ones((5, 1))), **COPY_SETTINGS) == NEVER_EVALUATED


# --- a minimum, by hand ---


def test_minimum_is_the_vertex_of_the_parabola_in_log_step():
    steps = np.array([10.0, 100.0, 1000.0, 10000.0])
    assert minimum(steps, (np.log10(steps) - 2.3) ** 2 + 1) == pytest.approx(10**2.3)


@pytest.mark.parametrize(
    ("curve", "step"),
    [
        ([3.0, 2.0, 1.0], math.inf),  # may fall further
        ([1.0, 2.0, 3.0], 0.0),  # may have risen before
        ([2.0, 1.0, 2.0], 100.0),
        ([2.0, 1.0, 1.0], 10**2.5),  # equal values: half-way
        ([1.0, 1.0, 1.0], 0.0),
    ],
)
def test_minimum(curve, step):
    assert minimum(np.array([10.0, 100.0, 1000.0]), np.array(curve)) == pytest.approx(step)


def test_minimum_of_losses_whose_differences_underflow():
    assert minimum(np.array([10.0, 11.0, 12.0]), np.array([5e-324, 0.0, 0.0])) == 11


def test_minimum_of_one_or_two_evaluations():
    assert minimum(np.array([5.0]), np.array([1.0])) == math.inf
    assert minimum(np.array([5.0, 6.0]), np.array([[1.0, 2.0], [2.0, 1.0]])).tolist() == [0.0, math.inf]


# --- what holds for every curve ---


@st.composite
def evaluated(draw, least=1):
    """Steps and curves on a coarse grid of values, so that ties and values at the threshold occur."""
    steps = draw(st.lists(st.integers(1, 10**6), min_size=least, max_size=8, unique=True).map(sorted))
    values = st.lists(st.integers(0, 10), min_size=len(steps), max_size=len(steps))
    curves = draw(st.lists(values, min_size=1, max_size=4))
    return np.array(steps, float), np.array(curves) / 10


thresholds = st.integers(0, 10).map(lambda tenths: tenths / 10)


@given(evaluated(), thresholds)
def test_curves_do_not_mix(case, threshold):
    steps, curves = case
    alone = [crossing(steps, curve, threshold) for curve in curves]
    np.testing.assert_allclose(crossing(steps, curves, threshold), alone, rtol=1e-12)
    alone = [minimum(steps, curve) for curve in curves]
    np.testing.assert_allclose(minimum(steps, curves), alone, rtol=1e-12)


@given(evaluated(), thresholds, st.floats(0.01, 100))
def test_onset_scales_with_the_step_axis(case, threshold, factor):
    steps, curves = case
    np.testing.assert_allclose(crossing(factor * steps, curves, threshold), factor * crossing(steps, curves, threshold))
    np.testing.assert_allclose(minimum(factor * steps, curves), factor * minimum(steps, curves))


@given(evaluated(), thresholds)
def test_crossing_lies_between_the_evaluations_around_it(case, threshold):
    steps, curves = case
    for curve, onset in zip(curves, crossing(steps, curves, threshold), strict=True):
        above = curve > threshold
        first = next((k for k in range(len(steps) - 1) if above[k] and above[k + 1]), None)
        if first is None:
            assert onset == math.inf
        elif first == 0:
            assert onset == 0
        else:
            assert steps[first - 1] * (1 - 1e-12) <= onset <= steps[first] * (1 + 1e-12)


@given(evaluated(least=2), thresholds, st.lists(st.integers(0, 10), min_size=1, max_size=4))
def test_evaluations_after_a_lasting_crossing_change_nothing(case, threshold, further):
    steps, curves = case
    longer = np.append(steps, steps[-1] + 1 + np.arange(len(further)))
    for curve in curves:
        if (curve[-2:] > threshold).all():
            extended = crossing(longer, np.append(curve, np.array(further) / 10), threshold)
            assert extended == crossing(steps, curve, threshold)


@given(evaluated(), thresholds, st.integers(1, 8))
def test_a_run_that_goes_on_contradicts_nothing_that_it_said_before(case, threshold, evaluations):
    """What was seen of a crossing stays; what was censored never comes before the step at which it was."""
    steps, curves = case
    kept = steps[:evaluations]
    for curve in curves:
        short, long = crossing(kept, curve[:evaluations], threshold), crossing(steps, curve, threshold)
        said = with_interval(confirmable(kept), short, np.array([short]), 0.9)
        assert long == short or (said.censored and long >= said.step)
        lowest, later = minimum(kept, curve[:evaluations]), minimum(steps, curve)
        said = with_interval(confirmable(kept), lowest, np.array([lowest]), 0.9)
        assert not said.censored or later >= said.step


@given(evaluated(), thresholds, thresholds)
def test_a_higher_threshold_is_never_crossed_earlier(case, one, other):
    steps, curves = case
    low, high = sorted([one, other])
    assert (crossing(steps, curves, low) <= crossing(steps, curves, high) * (1 + 1e-12)).all()


@given(evaluated(), st.floats(0.1, 10), st.floats(-10, 10))
def test_minimum_does_not_depend_on_the_unit_of_the_loss(case, factor, shift):
    steps, curves = case
    curves = curves + np.linspace(0, 1e-3, len(steps))  # no ties: rounding would settle them
    np.testing.assert_allclose(minimum(steps, factor * curves + shift), minimum(steps, curves), rtol=1e-6)


@given(evaluated())
def test_minimum_lies_at_most_half_way_to_a_neighbour(case):
    steps, curves = case
    edges = np.sqrt(steps[:-1] * steps[1:])
    for curve, onset in zip(curves, minimum(steps, curves), strict=True):
        lowest = int(curve.argmin())
        if 0 < onset < math.inf:
            assert edges[lowest - 1] * (1 - 1e-12) <= onset <= edges[lowest] * (1 + 1e-12)
        else:
            assert onset == (math.inf if lowest == len(steps) - 1 else 0)


onsets_of_replicates = st.one_of(st.just(0.0), st.just(math.inf), st.floats(10, 1000))


@given(onsets_of_replicates, st.lists(onsets_of_replicates, min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_interval_holds_the_step_and_is_a_number(estimate, replicates, confidence):
    onset = with_interval(np.array([10.0, 1000.0]), estimate, np.array(replicates), confidence)
    assert 0 <= onset.ci_low <= onset.step <= onset.ci_high
    assert 10 <= onset.step <= 1000
    assert onset.censored == (estimate == math.inf)
    assert onset.ci_high == math.inf or not onset.censored


# --- intervals ---


def test_interval_is_that_of_the_percentiles():
    steps, replicates = np.array([1.0, 1000.0]), np.random.default_rng(0).permutation(np.arange(1.0, 202.0))
    assert with_interval(steps, 100.0, replicates, 0.9) == Onset(100.0, False, False, 11.0, 191.0)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_ends_of_the_interval_are_the_replicates_just_outside_the_percentiles(confidence):
    tail, rounding = (1 - confidence) / 2, 1e-12
    for count in range(1, 100):
        replicates = np.linspace(10, 20, count)
        onset = with_interval(np.array([1.0, 1000.0]), 15.0, replicates, confidence)
        assert onset.ci_low == min(15, np.quantile(replicates, tail + rounding, method="lower"))
        assert onset.ci_high == max(15, np.quantile(replicates, 1 - tail - rounding, method="higher"))


@pytest.mark.parametrize(
    ("estimate", "onset"),
    [
        (0.0, Onset(10.0, False, True, 0.0, 500.0)),
        (20.0, Onset(20.0, False, False, 20.0, 500.0)),
        (800.0, Onset(800.0, False, False, 500.0, 800.0)),
        (math.inf, Onset(1000.0, True, False, 500.0, math.inf)),
    ],
)
def test_an_interval_that_misses_the_estimate_is_widened_to_hold_it(estimate, onset):
    assert with_interval(np.array([10.0, 1000.0]), estimate, np.full(9, 500.0), 0.95) == onset


def test_replicates_beyond_the_run_leave_the_interval_open():
    steps, reached = np.array([10.0, 100.0, 1000.0]), np.full(90, 500.0)
    late = np.append(reached, np.full(10, math.inf))
    early = np.append(reached, np.zeros(10))
    assert with_interval(steps, 500.0, late, 0.95) == Onset(500.0, False, False, 500.0, math.inf)
    assert with_interval(steps, 500.0, early, 0.95) == Onset(500.0, False, False, 0.0, 500.0)
    assert with_interval(steps, math.inf, late, 0.95) == Onset(1000.0, True, False, 500.0, math.inf)
    assert with_interval(steps, 0.0, early, 0.95) == Onset(10.0, False, True, 0.0, 500.0)


def test_replicates_have_the_standard_error_of_the_mean():
    units = np.random.default_rng(1).normal(size=(400, 2))
    curves = resampled("a run", units, np.ones(400), 4000)
    np.testing.assert_allclose(curves[0], units.mean(axis=0))
    np.testing.assert_allclose(curves[1:].std(axis=0), units.std(axis=0) / 20, rtol=0.05)
    # resampled jointly: the replicates correlate as the units do
    expected = np.corrcoef(units.T)[0, 1]
    assert np.corrcoef(curves[1:].T)[0, 1] == pytest.approx(expected, abs=0.06)


def test_replicates_weigh_units_by_their_size():
    curves = resampled("a run", np.array([[2.0], [30.0]]), np.array([1, 3]), 100)
    assert curves[0, 0] == 8.0
    assert set(np.round(curves[1:, 0], 9)) == {2.0, 8.0, 10.0}


def test_replicates_are_those_of_the_key():
    units, sizes = np.random.default_rng(2).normal(size=(30, 3)), np.ones(30)
    np.testing.assert_array_equal(resampled("a", units, sizes, 5), resampled("a", units, sizes, 5))
    assert not np.array_equal(resampled("a", units, sizes, 5)[1:], resampled("b", units, sizes, 5)[1:])


def test_replicates_are_drawn_with_the_hash_of_the_key():
    """By hand, so that a run has the same intervals with every version: each replicate is the mean of units drawn."""
    totals, sizes = np.random.default_rng(8).normal(size=(4, 3)), np.array([1, 2, 3, 4])
    rng = np.random.default_rng(int(hashlib.sha256(b"a run").hexdigest()[:32], 16))
    drawn = [np.repeat(np.arange(4), rng.multinomial(4, [1 / 4] * 4)) for _ in range(20)]
    means = [totals[units].sum(axis=0) / sizes[units].sum() for units in [np.arange(4), *drawn]]
    np.testing.assert_allclose(resampled("a run", totals, sizes, 20), means)


# --- onsets of the losses ---


def test_loss_onsets_by_hand():
    steps = [10, 100, 1000, 10000, 100000]
    train = np.tile([0.20, 0.10, 0.10, 0.10, 0.10], (4, 1))
    test = np.tile([0.20, 0.11, 0.13, 0.17, 0.17], (6, 1))
    onsets = loss_onsets("a run", losses(steps, train, test), **LOSS_SETTINGS)
    assert list(onsets) == list(LOSS_DEFINITIONS)
    assert onsets["loss_gap_absolute"].step == pytest.approx(10**3.5)  # gap 0.03, 0.07
    assert onsets["loss_gap_relative"].step == pytest.approx(10**3.5)  # gap 0.3, 0.7
    # (-1, 0.09), (0, 0), (1, 0.02): vertex at (0.09 - 0.02) / (2 (0.09 + 0.02))
    assert onsets["test_loss_minimum"].step == pytest.approx(10 ** (2 + 0.07 / 0.22))
    for onset in onsets.values():  # items without scatter leave no doubt
        assert not onset.censored
        assert onset.ci_low == pytest.approx(onset.step)
        assert onset.ci_high == pytest.approx(onset.step)


def test_relative_and_absolute_gap_differ():
    curves = np.array([[1.0, 1.0, 1.0]]), np.array([[1.0, 1.4, 1.4]])
    onsets = loss_onsets("a run", losses([10, 100, 1000], *curves), **LOSS_SETTINGS)
    assert onsets["loss_gap_absolute"].step == pytest.approx(10 ** (1 + 0.05 / 0.4))
    assert onsets["loss_gap_relative"] == Onset(100.0, True, False, 100.0, math.inf)


def test_falling_losses_are_censored_at_the_last_evaluation_but_one():
    falling = np.tile([0.3, 0.2, 0.1], (5, 1))
    onsets = loss_onsets("a run", losses([10, 100, 1000], falling, falling), **LOSS_SETTINGS)
    assert set(onsets.values()) == {Onset(100.0, True, False, 100.0, math.inf)}


def test_a_loss_that_only_rises_has_its_onset_at_most_at_the_first_step():
    rising = np.tile([0.1, 0.2, 0.3], (5, 1))
    onsets = loss_onsets("a run", losses([10, 100, 1000], rising - 0.09, rising), **LOSS_SETTINGS)
    assert set(onsets.values()) == {Onset(10.0, False, True, 0.0, 10.0)}


@pytest.mark.parametrize("worst", [math.inf, math.nan])
def test_a_diverged_curve_ends_before_its_first_loss_that_is_no_number(worst):
    train = np.tile([0.2, 0.1, 0.1, 0.1], (3, 1))
    test = np.tile([0.2, 0.1, 0.1, 0.9], (3, 1))
    test[1, 2] = worst
    onsets = loss_onsets("a run", losses([10, 100, 1000, 10000], train, test), **LOSS_SETTINGS)
    assert set(onsets.values()) == {Onset(10.0, True, False, 10.0, math.inf)}
    test[0, 0] = worst
    onsets = loss_onsets("a run", losses([10, 100, 1000, 10000], train, test), **LOSS_SETTINGS)
    assert set(onsets.values()) == {NEVER_EVALUATED}


def test_a_run_never_evaluated_is_censored_at_the_start():
    nothing = losses([], np.empty((0, 0)), np.empty((0, 0)))
    assert loss_onsets("a run", nothing, **LOSS_SETTINGS) == dict.fromkeys(LOSS_DEFINITIONS, NEVER_EVALUATED)
    assert copy_onset("a run", neighbours([], np.empty((0, 0))), **COPY_SETTINGS) == NEVER_EVALUATED


def test_rows_may_come_in_any_order():
    rng = np.random.default_rng(3)
    steps = np.array([10, 100, 1000])
    table = losses(steps, scattered(rng, [0.0, 0.0, 0.0]), scattered(rng, [0.0, 0.02, 0.1]))
    shuffled = table.sample(frac=1, random_state=0)
    assert loss_onsets("a run", shuffled, **LOSS_SETTINGS) == loss_onsets("a run", table, **LOSS_SETTINGS)


def test_the_interval_is_seeded_by_the_run():
    rng = np.random.default_rng(4)
    table = losses([10, 100, 1000], scattered(rng, [0.0, 0.0, 0.0]), scattered(rng, [0.0, 0.1, 0.1]))
    one, again, other = (loss_onsets(run, table, **LOSS_SETTINGS)["loss_gap_absolute"] for run in ("a", "a", "b"))
    assert one == again
    assert one.step == other.step
    assert one != other


def test_a_single_replicate_is_one_end_of_the_interval():
    rng, steps = np.random.default_rng(9), np.array([10.0, 100.0, 1000.0])
    train, test = scattered(rng, [0.0, 0.0, 0.0]), scattered(rng, [0.0, 0.1, 0.1])
    draws = [resampled(f"a run {split}", of, np.ones(20), 1)[1] for split, of in (("train", train), ("test", test))]
    replicate = crossing(steps, draws[1] - draws[0], 0.05)
    onset = loss_onsets("a run", losses(steps, train, test), **{**LOSS_SETTINGS, "resamples": 1})["loss_gap_absolute"]
    assert [onset.ci_low, onset.ci_high] == pytest.approx(sorted([onset.step, float(replicate)]))
    assert onset.ci_low < onset.ci_high

    copies = rng.uniform(size=(40, 3)) < [0.0, 0.5, 1.0]
    replicate = crossing(steps, resampled("a run samples", copies.astype(float), np.ones(40), 1)[1], 0.2)
    onset = copy_onset("a run", neighbours(steps, copies), **{**COPY_SETTINGS, "resamples": 1})
    assert [onset.ci_low, onset.ci_high] == pytest.approx(sorted([onset.step, float(replicate)]))
    assert onset.ci_low < onset.ci_high


def test_noisy_versions_of_one_test_image_are_not_independent():
    """Writing every test item twice, as two versions of its image, adds no information."""
    rng = np.random.default_rng(5)
    train, test = scattered(rng, [0.0, 0.0, 0.0]), scattered(rng, [0.0, 0.05, 0.1])
    once = loss_onsets("a run", losses([10, 100, 1000], train, test), **LOSS_SETTINGS)
    twice = losses([10, 100, 1000], train, np.repeat(test, 2, axis=0), images=np.repeat(np.arange(20), 2))
    for name, onset in loss_onsets("a run", twice, **LOSS_SETTINGS).items():
        assert vars(onset) == pytest.approx(vars(once[name]))


def test_an_evaluation_that_lacks_an_item_is_an_error():
    table = losses([10, 100], np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(UserError, match=r"run a1b2: .* each item once a step"):
        loss_onsets("a1b2", table.drop(index=3), **LOSS_SETTINGS)
    for repeated in (pd.concat([table, table]), pd.concat([table.iloc[1:], table.iloc[-1:]])):
        with pytest.raises(UserError, match="once a step"):
            loss_onsets("a1b2", repeated, **LOSS_SETTINGS)


# --- onsets of the copies ---


def test_copy_onset_by_hand():
    copies = np.zeros((10, 4))
    copies[0, 1] = 1
    copies[:4, 2:] = 1
    onset = copy_onset("a run", neighbours([10, 100, 1000, 10000], copies), **COPY_SETTINGS)
    assert onset.step == pytest.approx(10 ** (2 + 1 / 3))  # shares 0, 0.1, 0.4; threshold 0.2
    assert not onset.censored
    assert onset.ci_low < onset.step < onset.ci_high


def test_without_copies_the_onset_is_censored():
    onset = copy_onset("a run", neighbours([10, 100, 1000], np.zeros((10, 3))), **COPY_SETTINGS)
    assert onset == Onset(100.0, True, False, 100.0, math.inf)
    copies = np.tile([0, 0, 1], (10, 1))  # nor does a last evaluation alone make one
    assert copy_onset("a run", neighbours([10, 100, 1000], copies), **COPY_SETTINGS) == onset


def test_copies_of_the_control_do_not_count():
    table = pd.concat([neighbours([10, 100], np.zeros((4, 2))), neighbours([10, 100], np.ones((4, 2)), "control")])
    assert copy_onset("a run", table, **COPY_SETTINGS).censored


@pytest.mark.parametrize(
    ("first", "second", "copied"),
    [(0.0, 0.0, True), (0.0, 1.0, True), (1.0, 3.1, True), (1.0, 3.0, False), (1.0, 1.0, False)],
)
def test_which_distances_are_a_copy(first, second, copied):
    table = neighbours([10, 100], np.zeros((5, 2))).assign(distance=first, second_distance=second)
    assert copy_onset("a run", table, **COPY_SETTINGS).censored != copied


def test_an_evaluation_that_lacks_a_sample_is_an_error():
    with pytest.raises(UserError, match=r"run a1b2: .* each index once a step"):
        copy_onset("a1b2", neighbours([10, 100], np.zeros((3, 2))).drop(index=3), **COPY_SETTINGS)


# --- coverage ---

STEPS = np.array([10.0, 20.0, 40.0, 80.0, 160.0, 320.0])
STUDIES = 150


def covered(onsets, truth):
    return sum(onset.ci_low <= truth <= onset.ci_high for onset in onsets)


def test_interval_of_the_copies_covers_the_true_onset():
    """Each latent turns into a copy at a log-uniform step of its own and stays one."""
    rng = np.random.default_rng(6)
    share = np.log(STEPS / 10) / np.log(1000 / 10)
    truth = crossing(STEPS, share, 0.3)
    onsets = []
    for study in range(STUDIES):
        copies = rng.uniform(size=(200, 1)) < share
        onsets.append(
            copy_onset(f"run {study}", neighbours(STEPS, copies), **{**COPY_SETTINGS, "share": 0.3, "resamples": 200})
        )
    assert binomtest(covered(onsets, truth), STUDIES, 0.95).pvalue > 0.001


def test_interval_of_the_gap_covers_the_true_onset_where_test_images_repeat():
    """Test images differ in difficulty and are used four times each, so they, not the items, are the sample."""
    rng = np.random.default_rng(7)
    gap = np.array([0.0, 0.01, 0.03, 0.07, 0.15, 0.3])
    truth = crossing(STEPS, gap, 0.05)
    images = np.repeat(np.arange(60), 4)
    by_image, by_item = [], []
    for study in range(STUDIES):
        train = 0.3 + rng.normal(0, 0.05, size=(200, 1)) + rng.normal(0, 0.01, size=(200, 6))
        difficulty = rng.normal(0, 0.1, size=60)[images, None]
        test = 0.3 + gap + difficulty + rng.normal(0, 0.05, size=(240, 1)) + rng.normal(0, 0.01, size=(240, 6))
        for chosen, found in ((images, by_image), (None, by_item)):
            table = losses(STEPS, train, test, chosen)
            options = {**LOSS_SETTINGS, "resamples": 200}
            found.append(loss_onsets(f"run {study}", table, **options)["loss_gap_absolute"])
    assert binomtest(covered(by_image, truth), STUDIES, 0.95).pvalue > 0.001
    assert binomtest(covered(by_item, truth), STUDIES, 0.95).pvalue < 1e-6
