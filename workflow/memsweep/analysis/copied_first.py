"""Whether typical images are copied first: rank correlations of typicality and first step."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..tables.contracts import SCHEMAS

Array = NDArray[np.float64]

# Measures of typicality, columns of the table `copied_images`: the less, the more typical
MEASURES = ("to_class_mean", "to_nearest")


class CopiedFirst:
    """Spearman's correlation of typicality and first step, mean over runs; images that are never copied tie for last.

    Above 0, typical images are copied first. Intervals are for the choice of images: several runs have images in
    common, so images are resampled within the whole study, and all runs' rows of an image together (the bootstrap of
    clusters, Davison & Hinkley 1997, section 3.8); its percentiles. Networks, seeds and sizes are as they are.

    Args:
        images: places of the images that runs are trained on, of all runs that are added; they may be there twice.
        resamples: bootstrap replicates.
    """

    def __init__(self, images: NDArray[np.int64], resamples: int) -> None:
        self.images = np.unique(images)
        count = max(len(self.images), 1)
        draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
        self.weights = np.vstack([np.ones(count), draws])
        self.runs: list[tuple[NDArray[np.int64], dict[str, Array]]] = []

    def add(self, rows: pd.DataFrame) -> None:
        """Take the rows of the table ``copied_images`` of a run."""
        index = rows["index"].to_numpy()
        weights = self.weights[:, np.searchsorted(self.images, index)]
        first_step = rows["first_step"].to_numpy(dtype=np.float64, na_value=math.inf)
        correlations = {name: rank_correlations(rows[name].to_numpy(), first_step, weights) for name in MEASURES}
        self.runs.append((index, correlations))

    def table(self, confidence: float) -> pd.DataFrame:
        """The table ``copied_first``: for each measure, the runs of each train size and then all of them.

        A run in which all images come equally early has no correlation, and is none of those behind a mean.

        Args:
            confidence: level of intervals.
        """
        sizes: list[int | None] = [*sorted({len(index) for index, _ in self.runs}), *([None] if self.runs else [])]
        rows = [
            {"measure": measure, "train_size": size, **self._mean(measure, size, confidence)}
            for measure in MEASURES
            for size in sizes
        ]
        return pd.DataFrame(rows, columns=SCHEMAS["copied_first"].names).astype({"train_size": "Int64"})

    def _mean(self, measure: str, size: int | None, confidence: float) -> dict[str, float]:
        """The mean over runs with its interval, and how many runs and images are behind it."""
        behind = [
            (index, correlations[measure])
            for index, correlations in self.runs
            if size in (None, len(index)) and not math.isnan(correlations[measure][0])
        ]
        if not behind:
            return {"correlation": math.nan, "ci_low": math.nan, "ci_high": math.nan, "runs": 0, "images": 0}
        replicates = np.stack([correlations for _, correlations in behind])
        known = ~np.isnan(replicates)  # a replicate may have drawn but one image of a run, many times
        means = np.where(known, replicates, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
        ranked = np.sort(means[1:][~np.isnan(means[1:])])
        outside = math.floor((1 - confidence) / 2 * (len(ranked) - 1) + 1e-9)  # the slack absorbs rounding
        low, high = (ranked[outside], ranked[-1 - outside]) if len(ranked) else (math.nan, math.nan)
        images = len(np.unique(np.concatenate([index for index, _ in behind])))
        ends = {"ci_low": float(low), "ci_high": float(high)}
        return {"correlation": float(means[0]), **ends, "runs": len(behind), "images": images}


def rank_correlations(x: Array, y: Array, weights: Array) -> Array:
    """Spearman's rank correlations under weights: that of the pairs of which each stands there so many times.

    Args:
        x, y: (n,), finite or infinite; equal values share their mean rank.
        weights: at least 0, (replicates, n).

    Returns:
        (replicates,); NaN where all x or all y are equal.
    """
    total = np.maximum(weights.sum(axis=1), 1e-300)
    centred = []
    for values in (x, y):
        ranks = _ranks(values, weights)
        centred.append(ranks - ((weights * ranks).sum(axis=1) / total)[:, None])
    left, right = centred
    covariance, squares = (weights * left * right).sum(axis=1), [(weights * each**2).sum(axis=1) for each in centred]
    scale = np.sqrt(squares[0] * squares[1])
    # A variance that is 0 is so but for rounding, as ranks reach the total
    flat = np.minimum(squares[0], squares[1]) <= 1e-12 * total**3
    return np.divide(covariance, scale, out=np.full(len(scale), np.nan), where=~flat)


def _ranks(values: Array, weights: Array) -> Array:
    """Mean ranks, less 1/2, of values that stand there so many times, (replicates, n)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sums = np.add.reduceat(weights[:, order], first, axis=1)
    middles = np.cumsum(sums, axis=1) - sums / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middles, np.diff(np.append(first, len(values))), axis=1)
    return ranks
