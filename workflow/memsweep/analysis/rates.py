"""How fast copies appear once they do: the memorisation rate, between two shares that are the same for every run.

Marion & Wu 2026 (arXiv 2605.06077) call memorisation rate the slope of the share of copies against log10(step). Copies
saturate, so the slope depends on where it is taken; a window that ends at a part of each run's own maximum fits some
runs into saturation and others not, and decides the sign of a trend. Here it is the mean slope from a share s1 to s2,

    (s2 - s1) / log10(τ(s2) / τ(s1)),

copies per sample and decade of steps, τ(s) being the step at which the share rises above s for good
(`onset.crossing`). The normalised step gives the same, as it only shifts log10(step). The interval is that of the
onset: samples are resampled with their whole history. It holds for these training images and this seed; that of a
trend, from run to run, holds what differs between seeds and subsets too, as far as the runs do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..study.axes import Axis
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from .onset import Array, confirmable, crossing, percentile_ends, share_curves
from .scaling import groups, linear_effect, numeric_axes


@dataclass(frozen=True)
class Rate:
    """A memorisation rate, in copies per sample and decade of steps.

    Attributes:
        from_step, to_step: where the shares s1 and s2 are passed; NaN where the run does not show it.
        value: NaN where one of both is not known.
        at_most: of a run that passed s1 and ended before s2, the rate with which it would have reached s2 at its end.
        ci_low, ci_high: the interval of the rate; 0 and infinite where the run does not bound it.
        reason: why there is no value, or None.
    """

    from_step: float
    to_step: float
    value: float
    at_most: float
    ci_low: float
    ci_high: float
    reason: str | None


def memorisation_rate(steps: Array, shares: Array, between: tuple[float, float], confidence: float) -> Rate:
    """The rate of one run.

    Args:
        steps: evaluated steps, increasing, shape (evaluations,); may be empty.
        shares: the share of copies, then its bootstrap replicates, shape (1 + resamples, evaluations).
        between: s1 and s2, s1 < s2.
        confidence: level of the interval, between 0 and 1.
    """
    low, high = between
    nothing = Rate(math.nan, math.nan, math.nan, math.nan, 0.0, math.inf, "not evaluated twice")
    if len(steps) < 2:
        return nothing
    first, second = crossing(steps, shares, low), crossing(steps, shares, high)
    if first[0] == 0:
        return replace(nothing, reason=f"more than {low:g} at the first evaluation")
    if first[0] == math.inf:
        return replace(nothing, reason=f"{low:g} not reached")
    reached = second[0] < math.inf
    # Of replicates that end before s2 too, or begin after s1, no more is known than that the rate is smaller
    rates = _slope(first, second if reached else np.minimum(second, confirmable(steps)[-1]), high - low)
    rate = float(rates[0])
    ends = percentile_ends(rates[1:], confidence)
    if not reached:
        bound = max(ends[1], rate)
        return replace(nothing, from_step=float(first[0]), at_most=rate, ci_high=bound, reason=f"{high:g} not reached")
    return Rate(float(first[0]), float(second[0]), rate, math.nan, min(ends[0], rate), max(ends[1], rate), None)


def _slope(first: Array, second: Array, rise: float) -> Array:
    """A rise over the decades between two steps: 0 where the first is 0 or the second infinite, infinite without any.

    So both ends of an interval of replicates are as far as these can tell.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(second / first)
        slopes: Array = np.where(decades > 0, rise / decades, np.inf)
    return slopes


def share_rate(
    run_id: str, samples: pd.DataFrame, *, between: tuple[float, float], resamples: int, confidence: float
) -> Rate:
    """The rate of one run from its samples; arguments and errors are those of `onset.share_onset`."""
    return memorisation_rate(*share_curves(run_id, samples, resamples), between, confidence)


def rate_trends(rates: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """How the rate goes with each axis of positive numbers that is swept, the other axes held fixed.

    The model is that of `scaling`, of rates in place of logarithms of onsets,

        rate = intercept of the group + k · log10(axis) + σ · ε.

    A run that passed s1 and not s2 enters as one whose rate is smaller than what it is at most, so that slow runs are
    not left out for being slow.

    Args:
        rates: table ``rates``.
        runs: table ``runs``, with every run of ``rates``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``rate_trends``, one row for each metric and such axis; NaN where `scaling.linear_effect` cannot tell.
    """
    table = rates.assign(rate=rates["value"].fillna(rates["at_most"])).merge(runs, on="run_id", validate="many_to_one")
    rows = []
    for metric, under in table.groupby("metric", sort=False):
        for axis in numeric_axes(axes, runs):
            used, group = groups(under, axes, axis)
            if used.empty:
                continue
            known, group = used[speaks := used["rate"].notna()], group[speaks]
            bounded = known["value"].isna()
            x = np.log10(known[axis.coordinate].to_numpy(np.float64))
            fit = linear_effect(x, known["rate"], -bounded.astype(int), group, confidence)
            found = {"trend": fit.exponent, "ci_low": fit.ci_low, "ci_high": fit.ci_high}
            counts = {"runs": len(known), "bounded_runs": int(bounded.sum()), "left_out": len(used) - len(known)}
            rows.append({"metric": metric, "term": axis.coordinate, **found, **counts})
    return frame_of(rows, SCHEMAS["rate_trends"].names)
