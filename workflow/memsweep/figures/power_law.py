"""A fitted power law through onsets: where its line lies, and the band of its exponent's interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import CensoredData, norm

Array = NDArray[np.float64]

_STEEPEST = 50.0  # a slope that looks vertical


def location(
    term: pd.Series[float], step: pd.Series[float], censored: pd.Series[bool], slope: float, pivot: float
) -> float:
    """Onset at ``pivot`` on the line of this slope: the mean of log-normal, right-censored onsets.

    Args:
        term: the swept value of each run, positive.
        step: onset of each run, or its last step where censored; positive.
        censored: not all of them.
        slope: exponent of the power law.
        pivot: value of the term.
    """
    residuals = step.map(np.log) - slope * (term / pivot).map(np.log)
    seen = residuals[~censored]
    if censored.any() and seen.nunique() > 1:
        mean, _ = norm.fit(CensoredData.right_censored(residuals, censored.to_numpy(dtype=bool)))
        return float(np.exp(mean))
    return float(np.exp(seen.mean()))


def band(ratio: Array, height: float, ends: ArrayLike) -> tuple[Array, Array]:
    """Lower and upper edge of all lines with an exponent between two ends.

    Args:
        ratio: swept values over the pivot, (n,).
        height: the onset at the pivot, through which every line goes.
        ends: of the exponent's interval.
    """
    edges = np.array([height * ratio**end for end in np.clip(np.asarray(ends, float), -_STEEPEST, _STEEPEST)])
    return edges.min(axis=0), edges.max(axis=0)
