"""What is fitted to onsets as it is drawn: at which height it lies, and the band of an exponent's interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import CensoredData, norm

Array = NDArray[np.float64]

_STEEPEST = 50.0  # a slope that looks vertical


def height(onsets: pd.DataFrame, relative: ArrayLike) -> float:
    """The onset where ``relative`` is 1: the mean of log-normal, censored onsets over what they should be of it.

    Args:
        onsets: columns ``step``, positive, ``censored`` and ``left_censored``, as of the table ``onsets``, not all
            of them censored.
        relative: the fitted onset of each run over that where it is 1, such as (N / N_0)^k, shape (runs,).
    """
    residuals = np.log(onsets["step"].to_numpy(float)) - np.log(np.asarray(relative, float))
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
