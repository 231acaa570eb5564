"""Normal linear models of runs that share training sets, some of their responses known on one side only.

What a run has in common with the others of its training set is a normal deviation of its own, of standard deviation ρ
σ beside the scatter σ within a set (`censored`). The ratio ρ maximises the likelihood integrated over coefficients and
σ, which is restricted maximum likelihood (REML) where nothing is censored and Laplace's approximation of it elsewhere.

Intervals are Student's t. Variances are those of the observed information times onsets / (onsets - coefficients), as
maximum likelihood puts σ too low by that. The degrees of freedom are Satterthwaite's, 2 / Var(log of the variance),
with what ρ is uncertain by, and for whatever is compared between sets no more than sets leave over (containment).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from .censored import Array, Fit, fit_censored

# Ratios among which the best one is looked for first, and with that the least and the greatest
_RATIOS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_STEP = 0.05  # of log ρ, for derivatives
_LEAST = 0.02  # a ratio that cannot be told from 0


@dataclass(frozen=True)
class Estimate:
    """An estimate with its confidence interval; NaN where there is none."""

    value: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    freedom: float = math.nan


class Mixed:
    """The model fitted to runs.

    Attributes:
        observed: onsets that are not censored.
        freedom: of the scatter, onsets - coefficients.
        between: degrees of freedom that sets leave over for their own scatter.
        told: whether the scatter of sets can be told from that within them.
        ratio: ρ; 0 where it cannot be told, σ being all the scatter then.
    """

    def __init__(self, design: Array, response: Array, side: NDArray[np.int64], group: NDArray[np.int64]) -> None:
        """Arguments are those of `censored.fit_censored`.

        Raises:
            censored.NotConverged: the maximisation failed.
        """
        self._data = design, response, side, group
        self._fit = functools.cache(self._fitted)
        seen = side == 0
        sets = (group[seen, None] == np.unique(group[seen])).astype(np.float64)
        rank, both = design.shape[1], int(np.linalg.matrix_rank(np.column_stack([design[seen], sets])))
        self.observed = int(seen.sum())
        self.freedom, self.between = self.observed - rank, both - rank
        self.sets = sets.shape[1]
        self.told = self.between > 0 and self.observed > both
        self.ratio = self._best_ratio() if self.told else 0.0

    def _fitted(self, ratio: float) -> Fit:
        return fit_censored(*self._data, ratio)

    def _best_ratio(self) -> float:
        if not self._fit(0.0).sigma:
            return 0.0
        likelihoods = [self._fit(ratio).integrated for ratio in _RATIOS]
        best = int(np.argmax(likelihoods))
        bounds = _RATIOS[max(best - 1, 0)], _RATIOS[min(best + 1, len(_RATIOS) - 1)]
        found = optimize.minimize_scalar(
            lambda ratio: -self._fit(float(ratio)).integrated, bounds=bounds, method="bounded", options={"xatol": 1e-3}
        )
        return 0.0 if found.x < _LEAST else float(found.x)

    @property
    def coefficients(self) -> Array:
        """Shape (coefficients,)."""
        return self._fit(self.ratio).coefficients

    @property
    def sigma(self) -> float:
        """The scatter within a set, or all scatter where the two cannot be told apart."""
        return self._fit(self.ratio).sigma * math.sqrt(self.observed / self.freedom)

    @property
    def sigma_sets(self) -> float:
        """The scatter of sets; NaN where it cannot be told."""
        return self.ratio * self.sigma if self.told else math.nan

    def covariance(self, ratio: float | None = None) -> Array:
        """Of the coefficients, at a ratio."""
        count = len(self.coefficients)
        covariance = self._fit(self.ratio if ratio is None else ratio).covariance[:count, :count]
        return covariance * (self.observed / self.freedom)

    def _variance(self, contrast: Array, ratio: float, new_run: bool) -> float:
        variance = float(contrast @ self.covariance(ratio) @ contrast)
        if new_run:
            sigma = self._fit(ratio).sigma
            variance += sigma**2 * (1 + ratio**2) * self.observed / self.freedom
        return variance

    def freedom_of(self, contrast: Array, between: bool, new_run: bool = False) -> float:
        """Degrees of freedom of the variance of a combination of coefficients.

        Args:
            contrast: the combination, shape (coefficients,).
            between: whether it compares sets, or holds for new ones.
            new_run: whether the scatter of a new run of a new set is added.
        """
        freedom = float(self.freedom)
        if self.ratio:
            nearby = [self.ratio * math.exp(step) for step in (-_STEP, 0, _STEP)]
            logs = [math.log(self._variance(contrast, ratio, new_run)) for ratio in nearby]
            likelihoods = [self._fit(ratio).integrated for ratio in nearby]
            slope = (logs[2] - logs[0]) / (2 * _STEP)
            bend = -(likelihoods[0] - 2 * likelihoods[1] + likelihoods[2]) / _STEP**2
            if bend > 0:
                freedom = 2 / (2 / freedom + slope**2 / bend)
        return min(freedom, float(self.between)) if between and self.sets > 1 else freedom

    def estimate(self, contrast: Array, confidence: float, between: bool, new_run: bool = False) -> Estimate:
        """A combination of the coefficients with its interval, or that of a new run around it.

        Args:
            contrast, between, new_run: as of `freedom_of`.
            confidence: level of the interval.
        """
        freedom = self.freedom_of(contrast, between, new_run)
        if freedom <= 0:
            return Estimate()
        value = float(contrast @ self.coefficients)
        deviation = math.sqrt(self._variance(contrast, self.ratio, new_run))
        margin = float(stats.t.ppf((1 + confidence) / 2, freedom)) * deviation
        return Estimate(value, value - margin, value + margin, freedom)
