"""A number that generated samples estimate, with its interval: that of the sample, any reference being a fixed set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

# Rows held in float64 at once where a whole reference would take too much memory.
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Distance:
    """A distance with its confidence interval."""

    value: float
    ci_low: float
    ci_high: float


def standard_error(influence: np.ndarray, strata: np.ndarray | None = None) -> tuple[float, int]:
    """The standard error of a mean, and its degrees of freedom, where samples are drawn stratum by stratum.

    What strata differ by among themselves is then no noise: as many samples of each are drawn every time.

    Args:
        influence: of each sample, (m,).
        strata: of each sample, such as its label, (m,); None where all are drawn alike. A stratum of one sample does
            not tell how it varies: it is taken to vary as all samples do.
    """
    m = len(influence)
    if strata is None:
        strata = np.zeros(m, dtype=np.int64)
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    lonely = sizes[stratum] == 1
    means = np.where(lonely, influence.mean(), (np.bincount(stratum, influence) / sizes)[stratum])
    together = np.where(lonely, m, sizes[stratum])
    variance = np.sum(together / np.maximum(together - 1, 1) * np.square(influence - means)) / m**2
    return float(np.sqrt(variance)), max(1, m - int((sizes > 1).sum()) - int(lonely.any()))


def with_margin(value: float, error: float, freedom: int, confidence: float, lowest: float = -np.inf) -> Distance:
    """A value with Student's interval for its standard error."""
    margin = float(student.ppf((1 + confidence) / 2, freedom)) * error
    return Distance(value, max(lowest, value - margin), value + margin)


def halves(labels: np.ndarray | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of either half of some samples, with as many of each label in both, or one more in the first.

    Args:
        labels: of the samples, (m,); None where the model knows none.
        count: samples m.
    """
    if labels is None:
        labels = np.zeros(count, dtype=np.int64)
    order = np.argsort(labels, kind="stable")
    _, sizes = np.unique(labels, return_counts=True)
    place = np.empty(count, dtype=np.int64)
    place[order] = np.concatenate([np.arange(size) for size in sizes])
    return np.flatnonzero(place % 2 == 0), np.flatnonzero(place % 2 == 1)


def blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in float64, a block at a time."""
    for start in range(0, len(features), BLOCK_ROWS):
        yield features[start : start + BLOCK_ROWS].astype(np.float64)
