"""Memorisation rates between two shares: by hand, under every curve, what intervals cover, and trends."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.onset import resampled
from memsweep.analysis.rates import memorisation_rate, rate_trends, share_rate
from memsweep.study.axes import AXES as NAMES
from memsweep.study.axes import Axis
from memsweep.tables.contracts import SCHEMAS
from scipy.stats import binomtest

AXES = [Axis.of(name, {"type": "number"}, None) for name in NAMES]
BETWEEN = (0.1, 0.5)
STEPS = np.array([10.0, 100.0, 1000.0, 10_000.0, 100_000.0])


def rate_of(curve: list[float], steps: np.ndarray = STEPS):
    values = np.array(curve, float)
    return memorisation_rate(steps[: len(values)], np.vstack([values, values]), BETWEEN, 0.95)


def test_a_straight_rise_has_its_slope_wherever_the_evaluations_lie() -> None:
    for factor in (1.3, 2, 10):
        steps = 7 * factor ** np.arange(40.0)
        share = np.clip(0.23 * np.log10(steps / 50), 0, 1)
        rate = memorisation_rate(steps, np.vstack([share, share]), BETWEEN, 0.95)
        assert rate.value == pytest.approx(0.23, rel=0.05 if factor < 10 else 0.2)
        assert rate.ci_low == rate.ci_high == rate.value
        assert math.isnan(rate.at_most)
        assert rate.reason is None


def test_it_is_the_rise_over_the_decades_between_both_crossings() -> None:
    rate = rate_of([0, 0.2, 0.4, 0.6, 0.6])
    first, second = 1.5, 3.5  # half-way to 0.2, and half-way from 0.4 to 0.6
    assert (rate.from_step, rate.to_step) == pytest.approx((10**first, 10**second))
    assert rate.value == pytest.approx(0.4 / (second - first))


def test_saturation_does_not_matter() -> None:
    """What a run does beyond the second share, or how far it goes, moves nothing."""
    assert rate_of([0, 0.2, 0.6, 0.6, 0.6]) == rate_of([0, 0.2, 0.6, 0.9, 1.0]) == rate_of([0, 0.2, 0.6, 0.6])


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ([0.2, 0.3, 0.6, 0.7], "more than 0.1 at the first evaluation"),
        ([0, 0.05, 0.1, 0.1], "0.1 not reached"),
        ([0, 0.0, 0.0, 0.3], "0.1 not reached"),  # nothing confirms it
        ([0, 0.2, 0.4, 0.4], "0.5 not reached"),
        ([0, 0.2, 0.4, 0.6], "0.5 not reached"),
        ([0.3], "not evaluated twice"),
        ([], "not evaluated twice"),
    ],
)
def test_a_run_that_does_not_show_both_shares_has_no_rate(curve: list[float], reason: str) -> None:
    rate = rate_of(curve)
    assert math.isnan(rate.value)
    assert rate.reason == reason
    assert rate.ci_low == 0
    if reason == "0.5 not reached":  # from 10^1.5 on, and not by 1000
        assert rate.at_most == rate.ci_high == pytest.approx(0.4 / 1.5)
    else:
        assert math.isnan(rate.at_most)
        assert rate.ci_high == math.inf


CURVES = st.lists(st.integers(0, 20), min_size=5, max_size=5).map(lambda tenths: [each / 20 for each in tenths])


@given(CURVES, st.integers(2, 5), st.floats(0.01, 100))
def test_a_longer_run_keeps_a_rate_and_respects_its_bound(curve: list[float], seen: int, factor: float) -> None:
    short, long = rate_of(curve[:seen]), rate_of(curve)
    if not math.isnan(short.value):
        assert short == long
    elif not math.isnan(short.at_most) and not math.isnan(long.value):
        assert long.value <= short.at_most * (1 + 1e-9)
    moved = rate_of(curve, STEPS * factor)  # as against the normalised step
    for one, other in ((moved.value, long.value), (moved.at_most, long.at_most)):
        assert (math.isnan(one) and math.isnan(other)) or one == pytest.approx(other)


def test_replicates_that_end_before_leave_the_interval_open() -> None:
    reached, early, short = [0, 0.2, 0.6, 0.6, 0.6], [0.2, 0.2, 0.6, 0.6, 0.6], [0, 0.2, 0.4, 0.4, 0.4]
    for other in (early, short):
        rate = memorisation_rate(STEPS, np.array([reached, *[reached] * 5, *[other] * 5]), BETWEEN, 0.9)
        assert rate.ci_low == 0
        assert rate.ci_high == rate.value > 0


def samples_of(study: int, steps: np.ndarray, mixing: float) -> pd.DataFrame:
    """200 samples that turn into copies at log-uniform steps; a part of them is decided anew at every step."""
    source = np.random.default_rng(study)
    share = np.clip(0.45 * np.log10(steps / 12), 0, 1)
    level = source.uniform(size=(200, 1))
    level = np.where(source.uniform(size=(200, 1)) < mixing, source.uniform(size=(200, len(steps))), level)
    hit = level < share
    table = {"step": np.tile(steps, 200), "index": np.repeat(np.arange(200), len(steps)), "hit": hit.ravel()}
    return pd.DataFrame(table)


@pytest.mark.parametrize("mixing", [0.0, 0.5])
def test_the_interval_covers_the_rate_of_the_distribution(mixing: float) -> None:
    steps = 12 * 1.6 ** np.arange(11)
    covered = 0
    for study in range(200):
        found = share_rate(
            f"{study}", samples_of(study, steps, mixing), between=BETWEEN, resamples=200, confidence=0.95
        )
        covered += found.ci_low <= 0.45 <= found.ci_high
    assert binomtest(covered, 200, 0.95).pvalue > 0.001


def test_it_takes_the_draws_of_the_onset() -> None:
    steps = 12 * 1.6 ** np.arange(11)
    samples = samples_of(0, steps, 0.5)
    hits = samples["hit"].to_numpy(float).reshape(200, -1)
    expected = memorisation_rate(steps, resampled("a samples", hits, np.ones(200), 50), BETWEEN, 0.9)
    assert share_rate("a", samples, between=BETWEEN, resamples=50, confidence=0.9) == expected


# --- trends ---


def study(seed: int, trend: float, noise: float = 0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rates 2 + k · log10(N / 16) of five sizes with two repetitions."""
    size = np.repeat([16, 32, 64, 128, 256], 2)
    value = 2 + trend * np.log10(size / 16) + np.random.default_rng(seed).normal(0, noise, len(size))
    names = [f"run{place}" for place in range(len(size))]
    runs = pd.DataFrame({"run_id": names, "train_size": size, "base_channels": 8, "parameters": 100, "batch_size": 4})
    runs = runs.assign(learning_rate=0.1, seed=np.tile([0, 1], 5), subset=0)
    rates = pd.DataFrame({"run_id": names, "metric": "f_mem", "value": value, "at_most": math.nan})
    return rates.reindex(columns=SCHEMAS["rates"].names), runs


def test_a_trend_is_that_of_least_squares_in_the_logarithm_of_the_axis() -> None:
    rates, runs = study(0, -0.8)
    (fit,) = rate_trends(rates, runs, AXES, 0.95).to_dict("records")
    assert fit["term"] == "train_size"
    assert fit["trend"] == pytest.approx(np.polyfit(np.log10(runs["train_size"]), rates["value"], 1)[0])
    assert (fit["runs"], fit["bounded_runs"], fit["left_out"]) == (10, 0, 0)


def test_runs_that_ended_on_the_rise_are_bounds_and_the_trend_stays_covered() -> None:
    covered = 0
    for seed in range(40):
        rates, runs = study(seed, 0.0, noise=0.3)
        # Where sets are large, runs end before a slow rise is over
        slow = (rates["value"] < 1.9) & (runs["train_size"] > 64)
        rates.loc[slow, "at_most"], rates.loc[slow, "value"] = 1.9, math.nan
        (fit,) = rate_trends(rates, runs, AXES, 0.9).to_dict("records")
        covered += fit["ci_low"] <= 0 <= fit["ci_high"]
        assert fit["bounded_runs"] == slow.sum()
    assert covered >= 31  # of 40, 36 expected


def test_without_rates_there_is_no_trend() -> None:
    rates, runs = study(1, 0.0)
    (fit,) = rate_trends(rates.assign(value=math.nan), runs, AXES, 0.95).to_dict("records")
    assert math.isnan(fit["trend"])
    assert fit["left_out"] == 10
    assert rate_trends(rates.head(0), runs, AXES, 0.95).empty
