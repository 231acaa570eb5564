"""A fitted power law through onsets: where its line lies, and the band of its exponent's interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import CensoredData, norm

Array = NDArray[np.float64]

_STEEPEST = 50.0  # a slope that looks vertical


def location(onsets: pd.DataFrame, term: str, slope: float, pivot: float) -> float:
    """Onset at ``pivot`` on the line of this slope: the mean of log-normal, censored onsets.

    Args:
        onsets: columns ``step``, positive, ``censored`` and ``left_censored``, as of the table ``onsets``, not all
            of them censored; and the swept value of each run, positive.
        term: name of the column of swept values.
        slope: exponent of the power law.
        pivot: value of the term.
    """
    residuals = (onsets["step"].map(np.log) - slope * (onsets[term] / pivot).map(np.log)).to_numpy(float)
    later, earlier = (onsets[side].to_numpy(bool) for side in ("censored", "left_censored"))
    seen = residuals[~later & ~earlier]
    if len(seen) < len(residuals) and np.unique(seen).size > 1:
        mean, _ = norm.fit(CensoredData(uncensored=seen, right=residuals[later], left=residuals[earlier]))
        return float(np.exp(mean))
    return float(np.exp(seen.mean()))


def seen(onsets: pd.DataFrame) -> pd.DataFrame:
    """The onsets that are not censored on either side."""
    return onsets[~onsets["censored"].astype(bool) & ~onsets["left_censored"].astype(bool)]


def band(ratio: Array, height: float, ends: ArrayLike) -> tuple[Array, Array]:
    """Lower and upper edge of all lines with an exponent between two ends.

    Args:
        ratio: swept values over the pivot, (n,).
        height: the onset at the pivot, through which every line goes.
        ends: of the exponent's interval.
    """
    edges = np.array([height * ratio**end for end in np.clip(np.asarray(ends, float), -_STEEPEST, _STEEPEST)])
    return edges.min(axis=0), edges.max(axis=0)
