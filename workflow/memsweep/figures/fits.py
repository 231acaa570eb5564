"""What is fitted to onsets as it is drawn: at which height it lies, and the confidence band of the mean line.

A band covers, at each place by itself and at the level of all intervals, the line about which runs scatter, not a new
run. It has both of what a line is uncertain by: its slope, from the interval of the exponent, and its height, which
alone is left at the pivot, the geometric mean of the values with onsets seen, where the two are uncorrelated. Of runs
of one group without censored ones it is the textbook band of a regression line. It takes runs for independent: what
training sets have in common widens it no further than they differ among the runs shown.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import CensoredData, norm
from scipy.stats import t as student

Array = NDArray[np.float64]

_STEEPEST = 50.0  # a slope that looks vertical


def height(onsets: pd.DataFrame, relative: ArrayLike) -> float:
    """The onset where ``relative`` is 1: the mean of log-normal, censored onsets over what they should be of it.

    Args:
        onsets: columns ``step``, positive, ``censored`` and ``left_censored``, as of the table ``onsets``, not all
            of them censored.
        relative: the fitted onset of each run over that where it is 1, such as (N / N_0)^k, shape (runs,).
    """
    return float(np.exp(_scattered(onsets, relative)[0]))


def margin(onsets: pd.DataFrame, relative: ArrayLike, confidence: float) -> float:
    """Half the width of the interval of the logarithm of `height`, by Student's t; NaN for fewer than three onsets.

    Args:
        onsets, relative: as of `height`, ``relative`` with a slope that was fitted.
        confidence: level of the interval, between 0 and 1.
    """
    _, deviation, count = _scattered(onsets, relative)
    if count < 3:
        return float("nan")
    # Maximum likelihood puts the deviation too low by the two coefficients of a line
    error = deviation / np.sqrt(count - 2)
    return float(student.ppf((1 + confidence) / 2, count - 2) * error)


def _scattered(onsets: pd.DataFrame, relative: ArrayLike) -> tuple[float, float, int]:
    """Mean and deviation of log onsets about a line, of greatest likelihood, and how many are seen."""
    residuals = np.log(onsets["step"].to_numpy(float)) - np.log(np.asarray(relative, float))
    later, earlier = (onsets[side].to_numpy(bool) for side in ("censored", "left_censored"))
    seen = residuals[~later & ~earlier]
    if len(seen) < len(residuals) and np.unique(seen).size > 1:
        data = CensoredData(uncensored=seen, right=residuals[later], left=residuals[earlier])
        mean, deviation = norm.fit(data)
        return float(mean), float(deviation), len(seen)
    return float(seen.mean()), float(seen.std()), len(seen)


def seen(onsets: pd.DataFrame) -> pd.DataFrame:
    """The onsets that are not censored on either side."""
    return onsets[~onsets["censored"].astype(bool) & ~onsets["left_censored"].astype(bool)]


def band(ratio: Array, height: float, margin: float, exponent: float, ends: tuple[float, float]) -> tuple[Array, Array]:
    """Lower and upper edge of the confidence band of a line.

    Args:
        ratio: swept values over the pivot, (n,).
        height: the onset at the pivot.
        margin: half the width of the interval of its logarithm.
        exponent: the slope of the line.
        ends: of the exponent's interval.
    """
    along = np.log(ratio)
    low, high = (np.clip(np.asarray(ends, float) - exponent, -_STEEPEST, _STEEPEST) * along[:, None]).T
    below, above = (np.hypot(margin, side) for side in (np.minimum(low, high), np.maximum(low, high)))
    middle = np.log(height) + exponent * along
    return np.exp(middle - below), np.exp(middle + above)
