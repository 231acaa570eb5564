"""When a spike is learnt: weak-recovery times, and how they grow with the dimension.

A replica has recovered a spike at the first step from which on its overlap stays above a threshold,
in absolute value, for at least ``hold`` times as long as it took to get there. An overlap that
crosses the threshold by fluctuation and falls back has recovered nothing. A replica whose run ended
before that is censored at the last step at which its overlap was still below.

The exponent k in n ∝ d^k is that of `scaling.exponent`, in which censored replicas enter with the
probability of a later recovery. Where theory says d log d, as for information exponents up to 2
(Ben Arous, Gheissari & Jagannath 2021, arXiv 2003.10409), a power law over a finite range of d has an
exponent above 1; n = A d^k (log d + c) is fitted as well, its c being what is left of the threshold,
of the start and of the noise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor

from ..scaling import NOT_ESTIMABLE, Exponent, exponent

Array = NDArray[np.float64]

SPIKES = ("u", "v")

# Values of log(log d + c) at the smallest d between which c is sought, and how many: at the upper
# end log d + c is a constant, and the law a pure power law.
OFFSETS = np.exp(np.linspace(-3, 5, 2000))


class Tracker:
    """Follows overlaps, block after block, and says when each recovered.

    Attributes:
        recovered: step of the recovery, infinite where there is none yet, shape (...).
        below: last step at which the overlap was below the threshold, at least 1, shape (...).
    """

    def __init__(self, shape: Sequence[int], threshold: float, hold: float) -> None:
        """shape: of the overlaps of one step; threshold: on |overlap|; hold: see the module."""
        self.threshold, self.hold = threshold, hold
        self.recovered = torch.full(tuple(shape), math.inf, dtype=torch.float64)
        self.below = torch.zeros(tuple(shape), dtype=torch.int64)

    def follow(self, overlaps: Tensor, step: int) -> None:
        """Take in the steps after ``step``; overlaps: shape (steps, ...)."""
        steps = torch.arange(step + 1, step + 1 + len(overlaps)).view(-1, *[1] * (overlaps.dim() - 1))
        below = overlaps.abs() < self.threshold
        last = torch.where(below, steps, 0)
        last[0] = torch.maximum(last[0], self.below)
        last = last.cummax(0).values
        held = ~below & (steps >= (last + 1) * (1 + self.hold))
        first = held.to(torch.uint8).argmax(0, keepdim=True)
        since = last.gather(0, first)[0].double() + 1
        new = held.any(0) & self.recovered.isinf()
        self.recovered = torch.where(new, since, self.recovered)
        self.below = last[-1]

    def table(self) -> pd.DataFrame:
        """One row for each spike and replica of overlaps of shape (2, replicas): the table ``unit_recoveries``."""
        recovered, below = self.recovered.numpy(), self.below.clamp(min=1).numpy()
        censored = np.isinf(recovered)
        parts = [
            pd.DataFrame(
                {
                    "spike": spike,
                    "replica": np.arange(recovered.shape[1]),
                    "samples": np.where(censored[row], below[row], recovered[row]),
                    "censored": censored[row],
                }
            )
            for row, spike in enumerate(SPIKES)
        ]
        return pd.concat(parts, ignore_index=True)


def medians(overlaps: Array, confidence: float) -> dict[str, Array]:
    """Median over replicas with its interval, and the 10th and 90th percentiles.

    The interval's ends are the order statistics whose ranks bound the binomial count of replicas
    below the median: it makes no assumption about the distribution.

    Args:
        overlaps: shape (..., replicas).
        confidence: level of the interval, between 0 and 1.

    Returns:
        ``median``, ``ci_low``, ``ci_high``, ``low`` and ``high``, each of shape (...).
    """
    ranked = np.sort(overlaps, axis=-1)
    replicas = overlaps.shape[-1]
    outside = max(int(binom.ppf((1 - confidence) / 2, replicas, 0.5)) - 1, 0)
    low, high = np.quantile(ranked, [0.1, 0.9], axis=-1)
    return {
        "median": np.median(ranked, axis=-1),
        "ci_low": ranked[..., outside],
        "ci_high": ranked[..., replicas - 1 - outside],
        "low": low,
        "high": high,
    }


def recovery_time(samples: Array, censored: NDArray[np.bool_], confidence: float) -> dict[str, float]:
    """The median time by Kaplan & Meier, with its interval; infinite where fewer than half recovered.

    Args:
        samples: steps to recovery, or to the end where censored, shape (replicas,).
        censored: shape (replicas,).
        confidence: level of the interval, between 0 and 1.

    Returns:
        ``median``, ``ci_low`` and ``ci_high``.
    """
    curve = KaplanMeierFitter(alpha=1 - confidence).fit(samples, ~censored)
    ends = median_survival_times(curve.confidence_interval_).to_numpy(np.float64).ravel()
    middle = float(curve.median_survival_time_)
    # Where nobody recovered the last step is all that bounds the median
    low = float(ends.min()) if np.isfinite(ends.min()) else float(samples.max())
    return {"median": middle, "ci_low": low, "ci_high": float(ends.max())}


def power_law(recoveries: pd.DataFrame, confidence: float) -> Exponent:
    """k in n ∝ d^k, by `scaling.exponent`.

    Args:
        recoveries: columns ``dimension``, ``samples`` and ``censored``, one spike of one experiment.
        confidence: level of the interval, between 0 and 1.
    """
    group = np.zeros(len(recoveries))
    return exponent(recoveries["dimension"], recoveries["samples"], recoveries["censored"], group, confidence)


def logarithmic_law(recoveries: pd.DataFrame, key: str, resamples: int, confidence: float) -> Exponent:
    """k in n = A d^k (log d + c), fitted by least squares to the logarithms of the median times.

    The interval is that of the bootstrap, replicas resampled within each dimension.

    Args:
        recoveries: as for `power_law`.
        key: seeds the bootstrap.
        resamples: bootstrap replicates.
        confidence: level of the interval, between 0 and 1.

    Returns:
        Not estimable with fewer than four dimensions, one more than there are parameters, or
        where fewer than half of some dimension's replicas recovered.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
    source = np.random.default_rng(seed)
    dimensions, columns = [], []
    for dimension, rows in recoveries.groupby("dimension"):
        times = np.where(rows["censored"], np.inf, rows["samples"].to_numpy(np.float64))
        drawn = source.integers(len(times), size=(resamples, len(times)))
        # The lower of the two middle times, so that one that is censored stands for no number
        columns.append(np.quantile(np.vstack([times, times[drawn]]), 0.5, axis=1, method="lower"))
        dimensions.append(float(str(dimension)))
    middle = np.stack(columns, axis=1)
    if len(dimensions) < 4 or not np.isfinite(middle[0]).all():
        return NOT_ESTIMABLE
    slopes = _fit_logarithmic(np.log(np.array(dimensions)), np.log(middle[np.isfinite(middle).all(axis=1)]))
    tail = (1 - confidence) / 2
    low, high = np.quantile(slopes[1:], [tail, 1 - tail])
    return Exponent(float(slopes[0]), float(min(low, slopes[0])), float(max(high, slopes[0])))


def _fit_logarithmic(x: Array, y: Array) -> Array:
    """k in y = a + k x + log(x + c), by least squares over a, k and c.

    Args:
        x: logarithms of the dimensions, shape (dimensions,).
        y: logarithms of the times, shape (fits, dimensions).

    Returns:
        Shape (fits,).
    """
    curves = np.log(x - x.min() + OFFSETS[:, None])
    design = np.column_stack([np.ones_like(x), x])
    inverse = np.linalg.pinv(design)
    residual = np.eye(len(x)) - design @ inverse
    # |(y - curve) less its line|² for every fit and offset
    left, right = y @ residual, curves @ residual
    squares = (left**2).sum(1)[:, None] - 2 * left @ right.T + (right**2).sum(1)
    best = curves[squares.argmin(axis=1)]
    slopes: Array = (y - best) @ inverse[1]
    return slopes


def exponents(
    recoveries: pd.DataFrame, predicted: Mapping[tuple[str, str], float], resamples: int, confidence: float
) -> pd.DataFrame:
    """The exponents of every experiment's spikes.

    Args:
        recoveries: table ``recoveries``.
        predicted: (experiment, spike) to the exponent that theory predicts.
        resamples: bootstrap replicates of the law with a logarithm.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``recovery_exponents``: law ``power`` for all, ``power_log`` where 1 is predicted.
    """
    rows = []
    for (experiment, spike), group in recoveries.groupby(["experiment", "spike"], sort=False):
        expected = predicted[str(experiment), str(spike)]
        fits = {"power": power_law(group, confidence)}
        if expected == 1:
            fits["power_log"] = logarithmic_law(group, f"{experiment} {spike}", resamples, confidence)
        counts = {
            "dimensions": group["dimension"].nunique(),
            "replicas": len(group),
            "censored_replicas": int(group["censored"].sum()),
        }
        names = {"experiment": experiment, "spike": spike}
        rows += [{**names, "law": law, **vars(fit), "predicted": expected, **counts} for law, fit in fits.items()]
    return pd.DataFrame(rows)
