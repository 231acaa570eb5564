"""Novelty: which samples are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from .neighbours import Neighbours


@dataclass(frozen=True)
class Share:
    """A share with its exact (Clopper-Pearson) confidence interval; ``count`` is what it is a share of."""

    value: float
    ci_low: float
    ci_high: float
    count: int


def copies(neighbours: Neighbours, threshold: float) -> np.ndarray:
    """Which queries are copies: those far closer to one reference than to any other, d1 / d2 < threshold.

    The rule of Gu et al. 2023 and Bonnaire et al. 2025 with threshold 1/3 and pixel distances.
    A query that coincides with two equal references (d1 = d2 = 0) is a copy.

    Returns:
        (queries,), bool.
    """
    first, second = neighbours.distance[:, 0], neighbours.distance[:, 1]
    result: np.ndarray = (first < threshold * second) | (second == 0)
    return result


def share(hits: np.ndarray, confidence: float) -> Share:
    """The share of true values with its exact binomial interval.

    At no hits the upper end is not 0: of m samples without a copy, 1 - (alpha / 2) ** (1 / m)
    cannot be excluded.
    """
    count, found = len(hits), int(hits.sum())
    interval = binomtest(found, count).proportion_ci(confidence, method="exact")
    return Share(found / count, float(interval.low), float(interval.high), count)
