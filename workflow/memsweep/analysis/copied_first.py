"""Whether typical images are copied first: rank correlations of typicality and first step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..tables.contracts import SCHEMAS

Array = NDArray[np.float64]

# Measures of typicality, columns of the table `copied_images`: the less, the more typical
MEASURES = ("to_class_mean", "to_nearest")

# Among which images of a run ranks are compared
AMONG = ("set", "class")


class CopiedFirst:
    """Spearman's correlation of typicality and first step, mean over runs; images that are never copied tie for last.

    Above 0, typical images are copied first. Among the images of a set, classes count, too: samples have given labels,
    so that an image is the sooner found copied the fewer its set has of its class. Among those of a class, ranks are
    less the mean rank of the class, on both sides. Intervals are for the choice of images: several runs have images in
    common, so images are resampled within the whole study, and all runs' rows of an image together (a bootstrap of
    clusters); its percentiles. Networks, seeds and sizes are as they are.

    Args:
        images: places of the images that runs are trained on, of all runs that are added; they may be there twice.
        resamples: bootstrap replicates.
    """

    def __init__(self, images: NDArray[np.int64], resamples: int) -> None:
        self.images = np.unique(images)
        count = max(len(self.images), 1)
        draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
        self.weights = np.vstack([np.ones(count), draws])
        self.runs: list[tuple[NDArray[np.int64], dict[tuple[str, str], Array]]] = []

    def add(self, rows: pd.DataFrame) -> None:
        """Take the rows of the table ``copied_images`` of a run."""
        index = rows["index"].to_numpy()
        weights = self.weights[:, np.searchsorted(self.images, index)]
        first_step = rows["first_step"].to_numpy(dtype=np.float64, na_value=math.inf)
        groups = {"set": np.zeros(len(rows), np.int64), "class": rows["label"].to_numpy()}
        correlations = {
            (measure, among): rank_correlations(rows[measure].to_numpy(), first_step, weights, groups[among])
            for measure in MEASURES
            for among in AMONG
        }
        self.runs.append((index, correlations))

    def table(self, confidence: float) -> pd.DataFrame:
        """The table ``copied_first``: by measure, and images compared, the runs of each train size, then all of them.

        A run in which all images come equally early has no correlation, and is none of those behind a mean.

        Args:
            confidence: level of intervals.
        """
        sizes: list[int | None] = [*sorted({len(index) for index, _ in self.runs}), *([None] if self.runs else [])]
        rows = [
            {"measure": measure, "among": among, "train_size": size, **self._mean((measure, among), size, confidence)}
            for measure in MEASURES
            for among in AMONG
            for size in sizes
        ]
        return pd.DataFrame(rows, columns=SCHEMAS["copied_first"].names).astype({"train_size": "Int64"})

    def _mean(self, of: tuple[str, str], size: int | None, confidence: float) -> dict[str, float]:
        """The mean over runs with its interval, and how many runs and images are behind it."""
        behind = [
            (index, correlations[of])
            for index, correlations in self.runs
            if size in (None, len(index)) and not math.isnan(correlations[of][0])
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


def rank_correlations(x: Array, y: Array, weights: Array, groups: NDArray[np.int64]) -> Array:
    """Spearman's rank correlations under weights: that of the pairs of which each stands there so many times.

    Args:
        x, y: (n,), finite or infinite; equal values share their mean rank.
        weights: at least 0, (replicates, n).
        groups: the group of each pair, (n,): the mean ranks of its group are taken off both its ranks.

    Returns:
        (replicates,); NaN where all x or all y of each group are equal.
    """
    order = np.argsort(groups, kind="stable")
    weights, groups = weights[:, order], groups[order]
    first = _firsts(groups)
    sizes = np.diff(np.append(first, len(groups)))
    totals = np.add.reduceat(weights, first, axis=1)
    centred = []
    for values in (x, y):
        ranks = _ranks(values[order], weights)
        sums = np.add.reduceat(weights * ranks, first, axis=1)
        means = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
        centred.append(ranks - np.repeat(means, sizes, axis=1))
    left, right = centred
    covariance, squares = (weights * left * right).sum(axis=1), [(weights * each**2).sum(axis=1) for each in centred]
    # What is 0 is so but for the rounding of ranks, which reach the sum of weights
    varied = np.minimum(*squares) > 1e-20 * weights.sum(axis=1) ** 3
    return np.divide(covariance, np.sqrt(squares[0] * squares[1]), out=np.full(len(weights), np.nan), where=varied)


def _ranks(values: Array, weights: Array) -> Array:
    """Mean ranks, less 1/2, of values that stand there so many times, (replicates, n)."""
    order = np.argsort(values, kind="stable")
    first = _firsts(values[order])
    sums = np.add.reduceat(weights[:, order], first, axis=1)
    middles = np.cumsum(sums, axis=1) - sums / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middles, np.diff(np.append(first, len(values))), axis=1)
    return ranks


def _firsts(ordered: NDArray[Any]) -> NDArray[np.int64]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
