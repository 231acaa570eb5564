"""The sliced Wasserstein distance, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimate import Distance, blocks, standard_error, with_margin


def directions(dimension: int, count: int) -> np.ndarray:
    """Fixed unit vectors, uniform on the sphere: the same for every run and step.

    Returns:
        (dimension, count), float64.
    """
    normal = np.random.default_rng(0).standard_normal((dimension, count))
    unit: np.ndarray = normal / np.linalg.norm(normal, axis=0)
    return unit


class SlicedWasserstein:
    """Sliced 2-Wasserstein distance (Bonneel et al. 2015): the root mean square, over directions, of
    the 2-Wasserstein distance between the projected samples.

    The interval is for what samples of this size show, bias included: normal, for the squared
    distance, with the standard error of the infinitesimal jackknife (Jaeckel 1972; Efron 1982).
    The influence of a sample is the Kantorovich potential at its place, the integral of
    2 (x − T(x)) along the line with T the optimal transport map, averaged over directions. It costs
    a sort, where resamples would each cost one. Written here and not taken from a library for
    the sake of it; the tests compare the value with one.

    Args:
        reference: (n, d).
        projections: unit vectors, (d, count), as of `directions`.
        confidence: level of the interval.
    """

    def __init__(self, reference: np.ndarray, projections: np.ndarray, confidence: float) -> None:
        self.projections, self.confidence = projections, confidence
        self.reference = np.sort(self.projected(reference), axis=0)

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), without an interval."""
        return self.value_of_projected(self.projected(generated))

    def projected(self, features: np.ndarray) -> np.ndarray:
        """Features (n, d) along each direction, (n, count), float64."""
        # In blocks, as a product of float32 and float64 copies its left side
        return np.concatenate([part @ self.projections for part in blocks(features)])

    def value_of_projected(self, generated: np.ndarray) -> float:
        """The distance of what is `projected` already, (m, count)."""
        left = np.sort(generated, axis=0)
        return float(np.sqrt(_Coupling(len(left), len(self.reference)).square(left, self.reference)))

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d), m at least 2; ``strata`` as of `standard_error`."""
        return self.root(self.squared(generated, strata))

    @staticmethod
    def root(square: Distance) -> Distance:
        """The distance of a squared one."""
        value, low, high = np.sqrt(np.maximum([square.value, square.ci_low, square.ci_high], 0)).tolist()
        return Distance(value, low, high)

    def squared(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The squared distance; arguments as of a call."""
        return self.squared_of_sorted(Sorted.of(self.projected(generated)), strata)

    def squared_of_sorted(self, generated: Sorted, strata: np.ndarray | None = None) -> Distance:
        """The squared distance of what is `projected` and sorted already."""
        left = generated.values
        plan = _Coupling(len(left), len(self.reference))
        influence = np.empty_like(left)
        np.put_along_axis(influence, generated.order, plan.potential(left, self.reference), axis=0)
        error, freedom = standard_error(influence.mean(axis=1), strata)
        return with_margin(plan.square(left, self.reference), error, freedom, self.confidence)


@dataclass(frozen=True)
class Sorted:
    """Projected samples in the order of each direction: what distances to several references share.

    Attributes:
        values: increasing along each column, (m, count).
        order: the sample that each is of, (m, count).
    """

    values: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, projected: np.ndarray) -> Sorted:
        """Sort each column of projected samples, (m, count)."""
        order = np.argsort(projected, axis=0)
        return cls(np.take_along_axis(projected, order, axis=0), order)


class _Coupling:
    """The optimal coupling of m equal weights with n equal weights on a line, both in sorted order."""

    def __init__(self, m: int, n: int) -> None:
        # In units of 1 / (m n): the places where either quantile function jumps
        ends = np.union1d(np.arange(1, m + 1) * n, np.arange(1, n + 1) * m)
        self.weight = np.diff(ends, prepend=0) / (m * n)
        self.left, self.right = (ends - 1) // n, (ends - 1) // m
        # On the right, the places beside the quantile that parts two neighbours on the left
        parting = np.arange(1, m) * n
        self.beside = (parting - 1) // m, parting // m

    def square(self, left: np.ndarray, right: np.ndarray) -> float:
        """Mean squared transport cost of sorted columns, (m, count) and (n, count)."""
        return float((self.weight @ np.square(left[self.left] - right[self.right])).mean())

    def potential(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The Kantorovich potential at each place on the left, up to a constant a column: (m, count)."""
        target = (right[self.beside[0]] + right[self.beside[1]]) / 2
        rises = np.diff(left, axis=0) * (left[1:] + left[:-1] - 2 * target)
        return np.concatenate([np.zeros((1, left.shape[1])), np.cumsum(rises, axis=0)])
