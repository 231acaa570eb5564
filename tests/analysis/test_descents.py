"""Double descents: found where they are, with intervals that hold, and not more often by chance than they say."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from memsweep.analysis.descents import descent, descents
from memsweep.tables.contracts import SCHEMAS
from scipy import stats
from statsmodels.stats.multicomp import MultiComparison

STEPS = np.geomspace(10, 10_000, 20).astype(int)


def falling(bump: float = 0.0) -> np.ndarray:
    """A distance that falls from 10 to 1, and rises and falls again in between where there is a bump."""
    place = np.arange(20)
    return 1 + 9 * np.exp(-place / 2) + bump * np.exp(-(((place - 12) / 2) ** 2))


def drawn(mean: np.ndarray, errors: np.ndarray, rng: np.random.Generator, shared: float = 0.0) -> np.ndarray:
    """Values whose errors are independent, or go along with those of the evaluation before."""
    noise = rng.normal(size=len(mean))
    for place in range(1, len(mean)):
        noise[place] = shared * noise[place - 1] + math.sqrt(1 - shared**2) * noise[place]
    return mean + errors * noise


def test_a_bump_is_a_double_descent_at_its_steps() -> None:
    mean = falling(bump=3.0)
    found = descent(STEPS, mean, np.full(20, 0.1), 0.95)
    first, peak = 7 + int(mean[7:10].argmin()), 7 + int(mean[7:].argmax())
    assert (found["min_step"], found["peak_step"]) == (STEPS[first], STEPS[peak])
    assert found["min_step_low"] <= found["min_step"] <= found["min_step_high"] < found["peak_step_low"]
    assert found["rise"] == pytest.approx(mean[peak] - mean[first])
    assert found["ci_high"] - found["rise"] == pytest.approx(
        stats.studentized_range.ppf(0.95, 20, np.inf) * 0.1, rel=1e-3
    )
    assert found["second_fall"] > 0.9 * 3
    assert found["verdict"] == "yes"


def test_a_fall_without_a_rise_is_none() -> None:
    found = descent(STEPS, falling(), np.full(20, 0.02), 0.95)
    assert found["verdict"] == "no"
    assert math.isnan(found["rise"])
    assert "peak_step" not in found
    assert found["min_step"] == STEPS[-1]
    assert descent(STEPS, falling(), np.full(20, 1.0), 0.95)["verdict"] == "undecided"


def test_a_rise_at_the_end_may_yet_fall() -> None:
    found = descent(STEPS[:13], falling(3.0)[:13], np.full(13, 0.02), 0.95)
    assert found["ci_low"] > 0
    assert math.isnan(found["second_fall"])
    assert found["verdict"] == "undecided"


def test_the_margin_is_that_of_tukey() -> None:
    """Equal groups of one standard deviation, which is known where there are enough values."""
    rng = np.random.default_rng(0)
    means, each = np.array([5.0, 1.0, 2.5, 1.2]), 4000
    values = (means[:, None] + rng.normal(size=(4, each))).ravel()
    compared = MultiComparison(values, np.repeat(np.arange(4), each)).tukeyhsd(0.05)
    sample = values.reshape(4, each).mean(axis=1)
    found = descent(np.arange(1, 5), sample, np.full(4, 1 / math.sqrt(each)), 0.95)
    low, high = compared.confint[3]  # of the second and third
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("unequal", [False, True])
def test_without_a_bump_one_is_found_as_often_as_said_at_most(shared: float, unequal: bool) -> None:
    """On a constant distance, where a rise is the likeliest, and behind a fall."""
    rng, studies = np.random.default_rng(1), 400
    errors = np.geomspace(0.5, 0.05, 20) if unequal else np.full(20, 0.2)
    for mean in (np.ones(20), falling()):
        found = [descent(STEPS, drawn(mean, errors, rng, shared), errors, 0.95) for _ in range(studies)]
        rises = sum(curve["ci_low"] > 0 for curve in found)
        assert stats.binomtest(rises, studies, 0.05, alternative="greater").pvalue > 0.001
        assert sum(curve["verdict"] == "yes" for curve in found) <= rises


def test_intervals_of_what_was_chosen_hold_it() -> None:
    rng, studies, held, yes = np.random.default_rng(2), 300, 0, 0
    mean, errors = falling(1.5), np.full(20, 0.15)
    for _ in range(studies):
        found = descent(STEPS, drawn(mean, errors, rng), errors, 0.95)
        low, high = (int(np.flatnonzero(found[f"{name}_step"] == STEPS)[0]) for name in ("min", "peak"))
        held += found["ci_low"] <= mean[high] - mean[low] <= found["ci_high"]
        yes += found["verdict"] == "yes"
    assert stats.binomtest(held, studies, 0.95, alternative="less").pvalue > 0.001
    assert yes > 0.8 * studies


@given(arrays(float, st.integers(3, 8), elements=st.floats(-5, 5).map(lambda value: round(value, 3))))
def test_a_curve_in_another_unit_turns_at_the_same_steps(values: np.ndarray) -> None:
    steps, errors = np.arange(1, 1 + len(values)), np.full(len(values), 0.3)
    own, other = descent(steps, values, errors, 0.95), descent(steps, 4 * values, 4 * errors, 0.95)
    assert own["verdict"] == other["verdict"]
    assert {key: own[key] for key in own if "step" in key} == {key: other[key] for key in other if "step" in key}
    assert other["rise"] == pytest.approx(4 * own["rise"], nan_ok=True)


def rows(metric: str, value: np.ndarray, **of: object) -> pd.DataFrame:
    ends = {"ci_low": value - 1.96 * 0.1, "ci_high": value + 1.96 * 0.1}
    known = {"run_id": "a", "metric": metric, "space": "pixels", "reference": "test", "step": STEPS, "generated": 9}
    return pd.DataFrame({**known, "value": value, **ends, **of})


def test_distances_less_their_floor_take_the_place_of_those_with_it() -> None:
    parts = [
        rows("sliced_wasserstein", np.sqrt(falling(3.0))),
        rows("sliced_wasserstein_corrected", falling(3.0)),
        rows("kid", falling(), reference="train"),
        rows("sliced_wasserstein_floor", falling()).head(1).assign(step=None),
        rows("f_mem", falling(3.0)),
        rows("kid", falling(), run_id="b").head(2),
    ]
    table = descents(pd.concat(parts).astype({"step": "Int64"}).sample(frac=1, random_state=0), 0.95)
    assert table.columns.tolist() == SCHEMAS["descents"].names
    found = table.set_index(["metric", "split"])["verdict"]
    assert found.to_dict() == {("sliced_wasserstein_corrected", "test"): "yes", ("kid", "train"): "no"}
    broken = rows("kid", np.where(STEPS > 100, np.nan, 1.0))
    assert descents(broken, 0.95)["evaluations"].tolist() == [int((STEPS <= 100).sum())]
    assert descents(broken.head(0), 0.95).empty
