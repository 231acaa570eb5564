"""Fidelity: how far the samples' distribution is from that of a set of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distance:
    """A distance with its bootstrap confidence interval."""

    value: float
    ci_low: float
    ci_high: float


def directions(dimension: int, count: int) -> np.ndarray:
    """Fixed unit vectors, uniform on the sphere: the same for every run and step.

    Returns:
        (dimension, count), float64.
    """
    normal = np.random.default_rng(0).standard_normal((dimension, count))
    unit: np.ndarray = normal / np.linalg.norm(normal, axis=0)
    return unit


def sliced_wasserstein(
    generated: np.ndarray, reference: np.ndarray, projections: np.ndarray, bootstrap: int, confidence: float
) -> Distance:
    """Sliced 2-Wasserstein distance (Bonneel et al. 2015): the root mean square, over directions, of
    the 2-Wasserstein distance between the projected samples.

    The interval is that of the generated sample, the reference being a fixed set: percentiles of
    the distances of resamples, moved so that their mean is the value, because a resample of a
    sample lies farther from the reference than the sample does. Written here and not taken from
    a library for the sake of those resamples; the tests compare it with one.

    Args:
        generated: (m, d). reference: (n, d).
        projections: unit vectors, (d, count), as of `directions`.
        bootstrap: number of resamples.
        confidence: level of the interval.
    """
    left, right = generated @ projections, np.sort(reference @ projections, axis=0)
    plan = _Coupling(len(left), len(right))
    value = plan.distance(np.sort(left, axis=0), right)
    source = np.random.default_rng(0)
    resampled = np.empty(bootstrap)
    for number in range(bootstrap):
        chosen = source.integers(len(left), size=len(left))
        resampled[number] = plan.distance(np.sort(left[chosen], axis=0), right)
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled - resampled.mean(), [tail, 1 - tail])
    return Distance(value, max(0.0, float(value + low)), float(value + high))


class _Coupling:
    """The optimal coupling of m equal weights with n equal weights on a line, both in sorted order."""

    def __init__(self, m: int, n: int) -> None:
        # In units of 1 / (m n): the places where either quantile function jumps
        ends = np.union1d(np.arange(1, m + 1) * n, np.arange(1, n + 1) * m)
        self.weight = np.diff(ends, prepend=0) / (m * n)
        self.left, self.right = (ends - 1) // n, (ends - 1) // m

    def distance(self, left: np.ndarray, right: np.ndarray) -> float:
        """Root of the mean squared transport cost of sorted columns, (m, count) and (n, count)."""
        squares = np.square(left[self.left] - right[self.right])
        return float(np.sqrt((self.weight @ squares).mean()))
