"""How the onset scales: its exponent in each axis of the grid, runs that ended too early included.

The model of one axis, with the other axes held fixed, is an accelerated failure time model
with normal errors in log10(onset),

    log10(onset) = intercept of the group + exponent · log10(axis) + σ · ε,    ε ~ N(0, 1).

A group holds the runs that are equal on every other axis (seeds aside), so that a sweep of
one factor and a full factorial are estimated alike, each within its groups. A run that ended
before its onset enters the likelihood with the probability of an onset later than its last
step; a group without any onset says nothing about the exponent, its likelihood having its
supremum, 1, at an infinite intercept whatever the exponent is.

The likelihood is maximised by `lifelines.LogNormalAFTFitter`. Given raw columns it fails to
converge on some small data sets, so it is given what the least squares line through the
onsets leaves over, in units of its own size, and starts at that line. Then it does converge,
to the same maximum.

The interval is that of least squares, extended to censored runs: Student's t with the
degrees of freedom ν = onsets - coefficients, and the variance from the observed information
times onsets / ν, as maximum likelihood puts σ too low by that. Without censored runs this is
the textbook t interval exactly.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import LogNormalAFTFitter
from lifelines.exceptions import ConvergenceError
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .onset import DEFINITIONS

TERMS = ("train_size", "batch_size", "learning_rate", "parameters")

Array = NDArray[np.float64]

# Onsets closer to a line than this, in log10 steps, lie on it: the rest is rounding.
ROUNDING = 1e-9
# A censored run this far below the line, in units of the scatter, says nothing; its exponential is still a number.
UNINFORMATIVE = -100.0


@dataclass(frozen=True)
class Exponent:
    """An exponent with its confidence interval; all three are NaN where it cannot be estimated."""

    exponent: float
    ci_low: float
    ci_high: float


NOT_ESTIMABLE = Exponent(math.nan, math.nan, math.nan)


def scaling(onsets: pd.DataFrame, runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The exponent of the onset in every axis, under every definition.

    Args:
        onsets: table ``onsets``.
        runs: table ``runs``, with every run of ``onsets``.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``scaling``, one row for each of `DEFINITIONS` (and what else ``onsets`` holds, which
        are departures from surrogates) and each of `TERMS`. ``runs`` counts the
        runs in groups where the axis varies, 0 for an axis that is not swept; what makes an
        exponent NaN stands at `exponent`.
    """
    table = onsets.merge(runs[["run_id", *TERMS]], on="run_id", how="left", validate="many_to_one")
    rows = []
    for definition in dict.fromkeys([*DEFINITIONS, *onsets["definition"]]):
        under = table[table["definition"] == definition]
        for term in TERMS:
            fixed = under.groupby([other for other in TERMS if other != term])
            varies = fixed[term].transform("nunique") > 1
            used, group = under[varies], fixed.ngroup()[varies]
            fit = exponent(used[term], used["step"], used["censored"], group, confidence)
            counts = {"runs": len(used), "censored_runs": int(used["censored"].sum())}
            rows.append({"definition": definition, "term": term, **vars(fit), **counts})
    return pd.DataFrame(rows)


def exponent(term: ArrayLike, onset: ArrayLike, censored: ArrayLike, group: ArrayLike, confidence: float) -> Exponent:
    """The exponent k in onset ∝ term ** k within groups, some onsets being censored.

    An onset reported at the first evaluation counts as observed there, although it may have
    been earlier: evaluate early enough.

    It is not estimable where no group has onsets at two values of the term, where there are
    not more onsets than coefficients (one a group with an onset, and the exponent), or, with
    a warning, where the maximisation fails. Onsets exactly on a line that no censored run
    has outlived give an interval of no width.

    Args:
        term: positive values of the axis, shape (runs,).
        onset: steps, shape (runs,); the last step where censored, 0 where never evaluated.
        censored: whether the run ended before its onset, shape (runs,).
        group: label of the runs that are equal on every other axis, shape (runs,).
        confidence: level of the interval, between 0 and 1.
    """
    censored, group = np.asarray(censored, bool), np.asarray(group)
    speaks = (np.asarray(onset) > 0) & np.isin(group, group[~censored])
    censored, group = censored[speaks], group[speaks]
    x = np.log10(np.asarray(term, np.float64)[speaks])
    y = np.log10(np.asarray(onset, np.float64)[speaks])

    intercepts = (group[:, None] == np.unique(group)).astype(np.float64)
    observed = int((~censored).sum())
    freedom = observed - intercepts.shape[1] - 1
    if freedom < 1:
        return NOT_ESTIMABLE
    # Distance of each run's term from the mean among its group's onsets.
    x -= intercepts @ (intercepts[~censored].T @ x[~censored] / intercepts[~censored].sum(axis=0))
    if np.abs(x[~censored]).max() < ROUNDING:
        return NOT_ESTIMABLE
    try:
        slope, variance = _slope(x, intercepts, y, censored)
    except ConvergenceError:
        warnings.warn(f"the fit of {observed} onsets of {len(y)} runs did not converge", stacklevel=2)
        return NOT_ESTIMABLE
    margin = stats.t.ppf((1 + confidence) / 2, freedom) * math.sqrt(variance * observed / freedom)
    return Exponent(slope, slope - float(margin), slope + float(margin))


def _slope(x: Array, intercepts: Array, y: Array, censored: NDArray[np.bool_]) -> tuple[float, float]:
    """The slope of a line with right-censored ``y``, and its variance, by way of least squares.

    Args:
        x: distance from the mean of the group's uncensored runs, shape (runs,).
        intercepts: which group each run is in, 0 or 1, shape (runs, groups).
        y: shape (runs,).
        censored: shape (runs,).
    """
    spread = np.abs(x[~censored]).max()
    design = np.column_stack([x / spread, intercepts])
    line = np.linalg.lstsq(design[~censored], y[~censored])[0]
    left = y - design @ line
    size = np.sqrt(np.mean(left[~censored] ** 2) + np.sum(np.maximum(left[censored], 0) ** 2) / np.sum(~censored))
    if size < ROUNDING:
        return float(line[0] / spread), 0.0
    excess, variance = _censored_fit(design, np.maximum(left / size, UNINFORMATIVE), censored)
    return float((line[0] + excess * size) / spread), float(variance * (size / spread) ** 2)


def _censored_fit(design: Array, response: Array, censored: NDArray[np.bool_]) -> tuple[float, float]:
    """Maximum likelihood of a normal linear model with right-censored responses.

    Args:
        design: shape (runs, coefficients), of full rank among the uncensored; some column
            combination is constant.
        response: of the size of 1, shape (runs,).
        censored: shape (runs,).

    Returns:
        The first coefficient, and its variance from the observed information.

    Raises:
        lifelines.exceptions.ConvergenceError: the maximisation failed.
    """
    columns = [f"x{number}" for number in range(design.shape[1])]
    data = pd.DataFrame(design, columns=columns).assign(time=np.exp(response), observed=~censored)
    with warnings.catch_warnings():
        # It warns of columns that separate onsets from censored runs; the design is of full rank.
        warnings.simplefilter("ignore")
        start = np.zeros(len(columns) + 1)  # coefficients and log σ
        fit = LogNormalAFTFitter(fit_intercept=False).fit(data, "time", "observed", initial_point=start)
    first = ("mu_", "x0")
    return float(fit.params_[first]), float(fit.variance_matrix_.loc[first, first])
