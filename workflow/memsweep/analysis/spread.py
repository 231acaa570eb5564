"""The spread of onsets in a rescaled time, over their pure error: what `collapse` says of curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from ..study.axes import SUBSET

Array = NDArray[np.float64]

# What repeats a point of the grid where it has several
TRAINING_SETS, SEEDS = "training sets", "seeds"
# A pure error below this, in log10 steps, is rounding
ROUNDING = 1e-9


@dataclass(frozen=True)
class Rescaling:
    """A way to rescale time: what is subtracted from log10(step).

    Attributes:
        name: none, paper, fitted or n_over_root_p.
        fixed: exponents by term.
        free: combinations of terms whose exponent is fitted, each by its terms' weights.
    """

    name: str
    fixed: Mapping[str, float]
    free: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class PureError:
    """The scatter of log10(step) among repetitions: its mean square, degrees of freedom, and of what they are."""

    square: float
    freedom: float
    of: str


def pure_error(known: pd.DataFrame, levels: Sequence[float], cells: Sequence[str]) -> PureError | None:
    """The scatter among repetitions at the points of the grid where all of them pass all levels; None without any.

    Args:
        known: runs with a column of log10 steps for each level.
        levels: those used.
        cells: columns that are equal for repetitions.
    """
    passes = known[list(levels)].notna().all(axis=1)
    whole = known[passes.groupby([known[column] for column in cells], dropna=False).transform("all")]
    sets = whole.groupby([*cells, SUBSET], dropna=False, as_index=False)[list(levels)].mean()
    for table, of, alike in ((sets, TRAINING_SETS, cells), (whole, SEEDS, [*cells, SUBSET])):
        alike_ones = table.groupby(list(alike), dropna=False)[list(levels)]
        left, freedom = table[list(levels)] - alike_ones.transform("mean"), len(table) - alike_ones.ngroups
        square = float(np.square(left.to_numpy()).mean(axis=1).sum()) / freedom if freedom else 0.0
        if square > ROUNDING**2:
            return PureError(square, freedom, of)
    return None


def onset_error(onsets: pd.DataFrame, confidence: float) -> PureError:
    """The error of single onsets, by their own intervals, which are known at the level ``confidence``."""
    ends = onsets[["ci_low", "ci_high"]].to_numpy(float)
    bounded = ends[(ends[:, 0] > 0) & np.isfinite(ends).all(axis=1)]
    if not len(bounded):
        return PureError(math.nan, math.inf, "onsets")
    halves = np.diff(np.log10(bounded), axis=1) / 2 / stats.norm.ppf((1 + confidence) / 2)
    return PureError(float(np.square(halves).mean()), math.inf, "onsets")


def spread(
    units: pd.DataFrame, levels: Sequence[float], cells: Sequence[str], way: Rescaling, error: PureError, level: float
) -> dict[str, Any]:
    """The columns of the table ``collapse`` that a rescaling has along some axes.

    Args:
        units: observations with columns of the terms, the log10 steps of each of ``levels``, ``group``, and ``cells``.
        levels: at least one.
        cells: columns that are equal for repetitions.
        way: how time is rescaled.
        error: the pure error.
        level: of the intervals, between 0 and 1.
    """
    y, exponents, rank = _in_rescaled_time(units, levels, way)
    cell = units.groupby(list(cells), dropna=False).ngroup().to_numpy()
    squares, squares_inside = (float(np.square(part).mean(axis=1).sum()) for part in (y, _within(y, cell)))
    freedom = len(units) - units["group"].nunique() - rank
    between = freedom - (len(units) - len(np.unique(cell)))
    found: dict[str, Any] = {"value": json.dumps({term: round(k, 6) for term, k in exponents.items()})}
    found |= {"pure_error": math.sqrt(error.square), "error_freedom": error.freedom, "error_of": error.of}
    if freedom < 1:
        return found
    width = math.sqrt(squares / freedom)
    low, high = np.sqrt(squares / stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], freedom))
    found |= {"spread": width, "spread_ci_low": float(low), "spread_ci_high": float(high)}
    if between < 1 or not error.square > ROUNDING**2:
        return found
    ratio = width / math.sqrt(error.square)
    statistic = max(0.0, squares - squares_inside) / between / error.square
    ends = noncentrality(statistic, between, error.freedom, level)
    low, high = (math.sqrt(1 + end / freedom) for end in ends)
    return found | {"ratio": ratio, "ratio_ci_low": min(low, ratio), "ratio_ci_high": max(high, ratio)}


def _in_rescaled_time(
    units: pd.DataFrame, levels: Sequence[float], way: Rescaling
) -> tuple[Array, dict[str, float], int]:
    """log10 T less its mean in each group (units, levels), the exponents by term, and how many are fitted."""

    def combined(weights: Mapping[str, float]) -> Array:
        logs = (weight * np.log10(units[term].to_numpy(float)) for term, weight in weights.items())
        return np.asarray(sum(logs, np.zeros(len(units))))

    group = units["group"].to_numpy()
    y = _within(units[list(levels)].to_numpy(float) - combined(way.fixed)[:, None], group)
    exponents = dict(way.fixed)
    if not way.free:
        return y, exponents, 0
    design = _within(np.column_stack([combined(part) for part in way.free]), group)
    slopes, _, rank, _ = np.linalg.lstsq(design, y.mean(axis=1))
    for slope, part in zip(slopes, way.free, strict=True):
        exponents |= {term: float(slope * weight) for term, weight in part.items()}
    return y - (design @ slopes)[:, None], exponents, int(rank)


def _within(values: Array, group: NDArray[Any]) -> Array:
    """Values less the mean of their group, column by column."""
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, place, values)
    centred: Array = values - (sums / counts[:, None])[place]
    return centred


def noncentrality(statistic: float, between: int, freedom: float, level: float) -> tuple[float, float]:
    """Both ends of the interval of the noncentrality λ of an F statistic.

    Args:
        statistic: F, of ``between`` and ``freedom`` degrees of freedom; infinite of the latter make it a χ² / between.
        level: of the interval, between 0 and 1.
    """

    def cdf(value: float) -> float:
        if math.isinf(freedom):
            return float(stats.ncx2.cdf(statistic * between, between, value))
        return float(stats.ncf.cdf(statistic, between, freedom, value))

    def solved(share: float) -> float:
        if cdf(0.0) <= share:
            return 0.0
        most = 4.0 * between * (statistic + 1)
        while cdf(most) > share:
            most *= 4
        return float(optimize.brentq(lambda value: cdf(value) - share, 0.0, most))

    return solved((1 + level) / 2), solved((1 - level) / 2)
