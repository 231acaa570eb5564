"""How the onset depends on each axis of the grid, runs that ended too early included.

The model of one axis, with the other axes held fixed, is an accelerated failure time model
with normal errors in log10(onset),

    log10(onset) = intercept of the group + k · x + σ · ε,    ε ~ N(0, 1).

Where the axis is a positive number, x is its logarithm, log10(axis), and k the exponent. Of any
other axis two values are compared at a time: x is 1 at the one and 0 at the base value, and 10^k
is the ratio of the onsets.

A group holds the runs that are equal on every other axis (seeds and subsets aside), so that a
sweep of one factor and a full factorial are estimated alike, each within its groups. A run that
ended before its onset enters the likelihood with the probability of an onset later than its last
step, one whose first evaluation was at or after its onset with that of an earlier one. A group
without any onset says nothing about k where all of it is censored on one side, its likelihood
having its supremum, 1, at an infinite intercept whatever k is; it is left out where there are
both sides, too.

The likelihood is maximised by `censored.fit_censored`.

The interval is that of least squares, extended to censored runs: Student's t with the
degrees of freedom ν = onsets - coefficients, onsets being those that are not censored, and the
variance from the observed information times onsets / ν, as maximum likelihood puts σ too low by
that. Without censored runs this is
the textbook t interval exactly.

It takes runs as independent. Those that share a training set are not, so that the interval of the exponent of
`train_size` holds for the sets at hand: on simulated studies with scatter between sets as measured it covered the truth
in 0.52 to 0.89 of them where a size had one or two sets, at a level of 0.95, and as it should where it had four, of a
run each (`benchmarks/coverage.py`). `law` has sets as its unit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from ..study.axes import Axis, is_short, other_columns, text
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from .censored import ROUNDING, NotConverged, fit_censored


@dataclass(frozen=True)
class Exponent:
    """An exponent with its confidence interval; all three are NaN where it cannot be estimated."""

    exponent: float
    ci_low: float
    ci_high: float


NOT_ESTIMABLE = Exponent(math.nan, math.nan, math.nan)


def scaling(onsets: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """The exponent of the onset in every axis of positive numbers, under every definition.

    Args:
        onsets: table ``onsets``.
        runs: table ``runs``, with every run of ``onsets``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``scaling``, one row for each definition of ``onsets`` and each axis of positive
        numbers, repetitions aside.
        ``runs`` counts the runs in groups where the axis varies, 0 for an axis that is not swept;
        what makes an exponent NaN stands at `effect`.
    """
    terms = numeric_axes(axes, runs)
    rows = []
    for definition, under in _by_definition(onsets, runs):
        for axis in terms:
            used, group = groups(under, axes, axis)
            fit = exponent(used[axis.coordinate], used["step"], *_sides(used), group, confidence)
            rows.append({"definition": definition, "term": axis.coordinate, **vars(fit), **_counts(used)})
    return pd.DataFrame(rows)


def numeric_axes(axes: Sequence[Axis], runs: pd.DataFrame) -> list[Axis]:
    """The axes of positive numbers, which stand at logarithms; repetitions aside."""
    return [axis for axis in axes if axis.numeric and not axis.repeats and (runs[axis.coordinate] > 0).all()]


def ratios(onsets: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """The onset at each value of an axis over that at its base value, under every definition.

    Args:
        onsets, runs, axes, confidence: as in `scaling`.

    Returns:
        Table ``ratios``, one row for each definition, as in `scaling`, each axis that is a key of the
        config's sections, and each of its values but the base; ``runs`` are those at either
        value in ``groups`` that have both. Where no run has the base value that of most runs
        stands for it, the first of several.
    """
    rows = []
    for definition, under in _by_definition(onsets, runs):
        for axis in axes:
            if is_short(axis.name):
                continue
            base, others = base_and_others(runs[axis.column], axis.base)
            for value in others:
                used, group = groups(under[under[axis.column].isin([base, value])], axes, axis)
                fit = effect(used[axis.column] == value, used["step"], *_sides(used), group, confidence)
                compared = {"definition": definition, "axis": axis.column, "value": text(value), "base": text(base)}
                rows.append({**compared, **_ratio(fit), **_counts(used), "groups": group.nunique()})
    return frame_of(rows, SCHEMAS["ratios"].names)


def _by_definition(onsets: pd.DataFrame, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each definition, and its onsets with the columns of ``runs``."""
    table = onsets.merge(runs, on="run_id", validate="many_to_one")
    for definition in dict.fromkeys(onsets["definition"]):
        yield definition, table[table["definition"] == definition]


def groups(onsets: pd.DataFrame, axes: Sequence[Axis], axis: Axis) -> tuple[pd.DataFrame, pd.Series[int]]:
    """The onsets in groups where an axis varies and every other one is fixed, and the group that each is in.

    A model size is held fixed by its channels: its parameters differ with every other axis of the network.
    """
    fixed = onsets.groupby(other_columns(axes, axis), dropna=False)
    varies = fixed[axis.column].transform("nunique") > 1
    return onsets[varies], fixed.ngroup()[varies]


def _sides(onsets: pd.DataFrame) -> tuple[pd.Series[bool], pd.Series[bool]]:
    return onsets["censored"], onsets["left_censored"]


def _counts(onsets: pd.DataFrame) -> dict[str, int]:
    """The runs behind an estimate, and those of them that are censored on either side."""
    later, earlier = _sides(onsets)
    return {"runs": len(onsets), "censored_runs": int(later.sum()), "left_censored_runs": int(earlier.sum())}


def _ratio(fit: Exponent) -> dict[str, float]:
    """A difference in log10(onset) as a ratio; an end beyond all numbers is infinite."""
    with np.errstate(over="ignore"):
        ratio, low, high = np.power(10.0, [fit.exponent, fit.ci_low, fit.ci_high]).tolist()
    return {"ratio": ratio, "ci_low": low, "ci_high": high}


def base_and_others(column: pd.Series[Any], base: Any) -> tuple[Any, list[Any]]:
    """The value that the others are compared with, and the others in their order."""
    runs_at: Mapping[Any, int] = column.value_counts().to_dict()
    values = column.dropna().unique().tolist()
    most = max(values, key=lambda value: runs_at[value], default=None)
    chosen = next((value for value in values if value == base), most)
    return chosen, [value for value in values if value != chosen]


def exponent(
    term: ArrayLike,
    onset: ArrayLike,
    censored: ArrayLike,
    left_censored: ArrayLike,
    group: ArrayLike,
    confidence: float,
) -> Exponent:
    """The exponent k in onset ∝ term ** k within groups, some onsets being censored.

    Args:
        term: positive values of the axis, shape (runs,).
        onset, censored, left_censored, group, confidence: as in `effect`.
    """
    return effect(np.log10(np.asarray(term, np.float64)), onset, censored, left_censored, group, confidence)


def effect(
    x: ArrayLike,
    onset: ArrayLike,
    censored: ArrayLike,
    left_censored: ArrayLike,
    group: ArrayLike,
    confidence: float,
) -> Exponent:
    """The exponent k in onset ∝ 10 ** (k · x) within groups, some onsets being censored.

    It is not estimable where no group has onsets at two values of x, where there are
    not more onsets than coefficients (one a group with an onset, and k), or, with
    a warning, where the maximisation fails. Onsets exactly on a line that no censored run
    has outlived give an interval of no width.

    Args:
        x: of each run, shape (runs,).
        onset: steps, shape (runs,); the last step where censored, the first one evaluated where
            left-censored, 0 where never evaluated.
        censored: whether the run ended before its onset, shape (runs,).
        left_censored: whether the onset is at or before the first evaluation, shape (runs,).
        group: label of the runs that are equal on every other axis, shape (runs,).
        confidence: level of the interval, between 0 and 1.
    """
    side, steps = np.asarray(censored, int) - np.asarray(left_censored, int), np.asarray(onset, np.float64)
    speaks = steps > 0
    logarithm = np.log10(steps[speaks])
    return linear_effect(np.asarray(x)[speaks], logarithm, side[speaks], np.asarray(group)[speaks], confidence)


def linear_effect(x: ArrayLike, y: ArrayLike, side: ArrayLike, group: ArrayLike, confidence: float) -> Exponent:
    """The slope k in y = intercept of the group + k · x + σ · ε, some responses being known on one side only.

    What makes it not estimable stands at `effect`, whose onsets are 10 ** y.

    Args:
        x, group, confidence: as in `effect`.
        y: the response, shape (runs,).
        side: 1 where it is larger than y, -1 where smaller, 0 where it is y, shape (runs,).
    """
    side, group = np.asarray(side, int), np.asarray(group)
    speaks = np.isin(group, group[side == 0])
    side, group = side[speaks], group[speaks]
    seen = side == 0
    x = np.asarray(x, np.float64)[speaks]
    y = np.asarray(y, np.float64)[speaks]

    intercepts = (group[:, None] == np.unique(group)).astype(np.float64)
    observed = int(seen.sum())
    freedom = observed - intercepts.shape[1] - 1
    if freedom < 1:
        return NOT_ESTIMABLE
    # Distance of each run's x from the mean among its group's onsets.
    x -= intercepts @ (intercepts[seen].T @ x[seen] / intercepts[seen].sum(axis=0))
    if np.abs(x[seen]).max() < ROUNDING:
        return NOT_ESTIMABLE
    try:
        line = fit_censored(np.column_stack([x, intercepts]), y, side)
    except NotConverged:
        warnings.warn(f"the fit of {observed} onsets of {len(y)} runs did not converge", stacklevel=2)
        return NOT_ESTIMABLE
    slope, variance = float(line.coefficients[0]), float(line.covariance[0, 0])
    margin = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance * observed / freedom)
    return Exponent(slope, slope - margin, slope + margin)
