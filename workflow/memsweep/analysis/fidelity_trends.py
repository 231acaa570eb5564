"""How the peak of fidelity depends on each axis of the grid, the other axes held fixed.

The model is that of `scaling`, of squared distances in place of onsets,

    log10(distance²) = intercept of the group + k · log10(axis) + σ · ε.

A distance that is corrected for its floor is a square, and may be below 0; it then enters as one that is smaller than
the upper end of its interval. So does, with its value, the peak of a run that ended before its onset, as a longer one
could have been better. A negative exponent in the train size says that more images make better samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..metrics.floors import PEAK_DISTANCE
from ..study.axes import Axis
from ..tables.contracts import SCHEMAS
from .scaling import exponent, groups, numeric_axes

# Distances that are roots; the others are squares themselves
_ROOTS = (PEAK_DISTANCE,)


def fidelity_trends(peaks: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """The exponent of the squared peak distance in every axis of positive numbers that is swept.

    Args:
        peaks: table ``peaks``.
        runs: table ``runs``, with every run of ``peaks``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``fidelity_trends``, one row for each definition of the onset, distance, space and such axis; an exponent
        is NaN where `scaling.effect` cannot estimate it.
    """
    table = peaks[peaks["value"].notna()].merge(runs, on="run_id")
    rows = []
    for (definition, metric, space), under in table.groupby(["definition", "metric", "space"], sort=False):
        power = 2 if metric in _ROOTS else 1
        for axis in numeric_axes(axes, runs):
            used, group = groups(under, axes, axis)
            if used.empty:
                continue
            value, high = (used[name].to_numpy(np.float64) ** power for name in ("value", "ci_high"))
            below = (value <= 0) | used["censored"].to_numpy(bool)
            bound = np.where(value > 0, value, np.maximum(high, 0))  # and nothing is said where that is 0, too
            fit = exponent(used[axis.coordinate], bound, np.zeros_like(below), below, group, confidence)
            of = {"definition": definition, "metric": metric, "space": space, "term": axis.coordinate}
            rows.append({**of, **vars(fit), "runs": len(used), "bounded_runs": int(below.sum())})
    return pd.DataFrame(rows, columns=SCHEMAS["fidelity_trends"].names)
