"""Fidelity: how far the samples' distribution is from that of a set of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ot

from .randomness import generator


@dataclass(frozen=True)
class Distance:
    """A distance with its bootstrap confidence interval."""

    value: float
    ci_low: float
    ci_high: float


def directions(dimension: int, count: int) -> np.ndarray:
    """Fixed unit vectors, (dimension, count), float64: the same for every run and step."""
    projections: np.ndarray = ot.sliced.get_random_projections(dimension, count, seed=0)
    return projections


def sliced_wasserstein(
    generated: np.ndarray, reference: np.ndarray, projections: np.ndarray, bootstrap: int, confidence: float
) -> Distance:
    """Sliced 2-Wasserstein distance (Bonneel et al. 2015), through POT.

    The interval is that of the generated sample, the reference being a fixed set: percentiles
    of resampled distances, moved by the upward bias that resampling adds (a resample of a
    sample is as far from it as the sample is from its distribution), around the value.

    Args:
        generated: (m, d). reference: (n, d).
        projections: unit vectors, (d, count), as of `directions`.
        bootstrap: number of resamples.
        confidence: level of the interval.
    """
    left, right = generated @ projections, reference @ projections
    value = _root_mean_square(ot.wasserstein_1d(left, right, p=2))
    source = np.random.default_rng(generator("sliced_wasserstein", len(left)).initial_seed())
    resampled = np.array(
        [
            _root_mean_square(ot.wasserstein_1d(left[source.integers(len(left), size=len(left))], right, p=2))
            for _ in range(bootstrap)
        ]
    )
    deviation = resampled - resampled.mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(deviation, [tail, 1 - tail])
    return Distance(value, max(0.0, value + low), value + high)


def _root_mean_square(squares: np.ndarray) -> float:
    """One distance of the squared distances along the directions."""
    return float(np.sqrt(np.mean(squares)))
