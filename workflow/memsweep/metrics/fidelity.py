"""Fidelity: how far the samples' distribution is from that of a set of images.

Each distance is prepared with its reference, whose part of the work is then done once, and
called with generated features. Every interval is that of the generated sample, the reference
being a fixed set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import eigh, eigvalsh
from scipy.stats import t as student

# Rows held in float64 at once where a whole reference would take too much memory.
BLOCK_ROWS = 4096

# Dimensions, those of Inception, beyond which Fréchet distances are not taken: their time grows as the cube
MOST_DIMENSIONS = 2048
FRECHET = ("frechet", "frechet_infinity")


@dataclass(frozen=True)
class Distance:
    """A distance with its confidence interval."""

    value: float
    ci_low: float
    ci_high: float


class Metric(Protocol):
    """A distance that is prepared with its reference."""

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), without an interval."""

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d), m at least 2; ``strata`` as of `standard_error`."""


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
        return np.concatenate([part @ self.projections for part in _blocks(features)])

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


class Frechet:
    """Fréchet distance of the Gaussians with the two sets' means and covariances (Heusel et al. 2017):

        |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½,

    a squared distance, as is the field's custom; in the space ``inception`` it is the FID. With
    A = (X − μ₁) L / √(m−1) and Σ₂ = LLᵀ, the last trace is that of (AAᵀ)^½: one symmetric
    eigenproblem, of the size of the smaller of the samples and the rank of Σ₂, in which neither
    covariance has to be invertible.

    The value is biased upwards, by about an amount inversely proportional to the number of samples
    and larger in more dimensions (Chong & Forsyth 2020): of fewer than some 5,000 samples in the
    2048 dimensions of Inception, it compares only with values of as many samples and as many
    reference images (`FrechetInfinity` is free of it); the column ``generated`` says how many samples.

    The interval is for what samples of this size show, bias included: normal, with the standard
    error of the infinitesimal jackknife (Jaeckel 1972; Efron 1982), the root of
    Σᵢ (Uᵢ − Ū)² / m(m−1) for the influence of a sample x with c = x − μ₁,

        U = 2 (μ₁ − μ₂)ᵀ c + |c|² − cᵀTc,

    where T is the optimal transport map between the Gaussians. The quadratic forms cᵀTc are
    (m−1) times the diagonal of (AAᵀ)^½, so the interval costs nothing beyond the value, where
    resamples would each cost as much, and lie farther off than the samples do.

    Args:
        reference: (n, d), n at least 2.
        confidence: level of the interval.
    """

    def __init__(self, reference: np.ndarray, confidence: float) -> None:
        self.confidence = confidence
        self.mean = reference.mean(axis=0, dtype=np.float64)
        n, d = reference.shape
        if n <= d:
            self.factor = (reference - self.mean).T / np.sqrt(n - 1)
        else:
            covariance = np.zeros((d, d))
            for part in _blocks(reference):
                centred = part - self.mean
                covariance += centred.T @ centred
            values, vectors = _spectrum(covariance / (n - 1))
            self.factor = vectors * np.sqrt(values)
        self.trace = float(np.square(self.factor).sum())

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), m at least 2, without an interval."""
        centred, shift, factored = self._parts(generated)
        value = shift @ shift + np.square(centred).sum() / (len(centred) - 1) + self.trace
        return max(0.0, float(value - 2 * np.sqrt(_positive(eigvalsh(_smaller_gram(factored)))).sum()))

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d), m at least 2; ``strata`` as of `standard_error`."""
        value, influence = self.influenced(generated)
        # The sum of the terms may round to just below zero, where the distance is none
        return with_margin(max(0.0, value), *standard_error(influence, strata), self.confidence, lowest=0.0)

    def influenced(self, generated: np.ndarray) -> tuple[float, np.ndarray]:
        """The distance, and the influence of each generated image on it, (m,)."""
        m = len(generated)
        centred, shift, factored = self._parts(generated)
        squares = np.square(centred).sum(axis=1)
        root = _diagonal_of_root(factored)
        value = shift @ shift + squares.sum() / (m - 1) + self.trace - 2 * root.sum()
        return float(value), 2 * centred @ shift + squares - (m - 1) * root

    def _parts(self, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The images less their mean, (m, d); that less the reference's, (d,); and A of the class, (m, rank)."""
        mean = generated.mean(axis=0, dtype=np.float64)
        centred = generated - mean
        return centred, mean - self.mean, centred @ self.factor / np.sqrt(len(generated) - 1)


class FrechetInfinity:
    """The Fréchet distance at infinitely many generated images (Chong & Forsyth 2020), the ``FID∞`` in ``inception``.

    The line through the values of all m images and of their two halves, in the mean, against 1/m, at 1/m = 0:
    2 F(m) − F(m/2). Free of the bias in 1/m, which is all of it where m is large against the dimensions; of fewer
    images than dimensions it is not, and the value is between. The halves, which share no image and have as many of
    each label, stand for the many random subsets of the paper. What the reference's own size adds stays.

    Unbiased at a distance of 0, and so at times below it. The interval is normal, with the standard error of the same
    combination of influences as the value is of distances (`Frechet`).

    Args:
        reference, confidence: as of `Frechet`.
    """

    def __init__(self, reference: np.ndarray, confidence: float) -> None:
        self.frechet, self.confidence = Frechet(reference, confidence), confidence

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), m at least 4, without an interval."""
        return self(generated).value

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d); NaN for fewer than 4; ``strata`` as of `standard_error`."""
        parts = halves(strata, len(generated))
        if min(len(rows) for rows in parts) < 2:  # as where no label is there twice
            parts = halves(None, len(generated))
        if len(generated) < 4:
            return Distance(np.nan, np.nan, np.nan)
        whole, influence = self.frechet.influenced(generated)
        value, influence = 2 * whole, 2 * influence
        for rows in parts:
            half, of_half = self.frechet.influenced(generated[rows])
            value -= half / 2
            influence[rows] -= of_half * (len(generated) / len(rows) / 2)
        return with_margin(value, *standard_error(influence, strata), self.confidence)


def _spectrum(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive eigenvalues, and their vectors in columns; what rounding alone would give is left out."""
    values, vectors = eigh(symmetric, driver="evd")
    kept = values > np.finfo(np.float64).eps * values.max(initial=0)
    return values[kept], vectors[:, kept]


def _positive(values: np.ndarray) -> np.ndarray:
    """Eigenvalues but for what rounding alone would give."""
    return values[values > np.finfo(np.float64).eps * values.max(initial=0)]


def _smaller_gram(a: np.ndarray) -> np.ndarray:
    """The smaller of A Aᵀ and Aᵀ A, which have the same positive eigenvalues."""
    return a @ a.T if len(a) <= a.shape[1] else a.T @ a


def _diagonal_of_root(a: np.ndarray) -> np.ndarray:
    """Diagonal of (A Aᵀ)^½ for A of shape (m, r): shape (m,), by way of the smaller Gram matrix."""
    values, vectors = _spectrum(_smaller_gram(a))
    if len(a) <= a.shape[1]:
        return np.square(vectors) @ np.sqrt(values)
    return np.square(a @ vectors) @ (1 / np.sqrt(values))


class Kid:
    """Kernel distance (Bińkowski et al. 2018): the unbiased estimate of the squared maximum mean
    discrepancy under the kernel k(x, y) = (x·y / d + 1)³; in the space ``inception`` it is the KID.

    Over whole sets rather than subsets, which are a way to save memory and not part of the
    definition. Unbiased whatever the number of samples, hence at times below zero.

    The interval is normal, with the standard error of the jackknife over the generated samples,
    exact because leaving out a sample takes a row sum out of a sum. Where the two distributions
    agree it is too wide rather than too narrow. Of two samples it is unbounded.

    Args:
        reference: (n, d), n at least 2.
        confidence: level of the interval.
    """

    def __init__(self, reference: np.ndarray, confidence: float) -> None:
        self.reference, self.confidence = reference, confidence
        n = len(reference)
        self.within = float(_similarity_to_others(reference).sum()) / (n * (n - 1))

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), m at least 2, without an interval."""
        return self(generated).value

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d), m at least 2; ``strata`` as of `standard_error`."""
        m = len(generated)
        within, across = _similarity_to_others(generated), _similarity(generated, self.reference) / len(self.reference)
        value = float(within.sum() / (m * (m - 1)) - 2 * across.mean() + self.within)
        if m == 2:
            return Distance(value, -np.inf, np.inf)
        without = (within.sum() - 2 * within) / ((m - 1) * (m - 2)) - 2 * (across.sum() - across) / (m - 1)
        # A mean of pseudo-values has the jackknife's standard error
        error, freedom = standard_error((m - 1) * without, strata)
        return with_margin(value, error, freedom, self.confidence)


def _similarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Σⱼ k(leftᵢ, rightⱼ) of features (m, d) and (n, d): shape (m,)."""
    sums = []
    for block in _blocks(left):
        total = np.zeros(len(block))
        for other in _blocks(right):
            total += _kernel(block @ other.T / left.shape[1]).sum(axis=1)
        sums.append(total)
    return np.concatenate(sums)


def _similarity_to_others(features: np.ndarray) -> np.ndarray:
    """Σ over j ≠ i of k(xᵢ, xⱼ) of features (m, d): shape (m,)."""
    itself = np.einsum("ij,ij->i", features, features, dtype=np.float64) / features.shape[1]
    return _similarity(features, features) - _kernel(itself)


def _kernel(product: np.ndarray) -> np.ndarray:
    """The polynomial kernel of degree 3, of scalar products over d."""
    shifted = product + 1
    return shifted * shifted * shifted


def with_margin(value: float, error: float, freedom: int, confidence: float, lowest: float = -np.inf) -> Distance:
    """A value with Student's interval for its standard error."""
    margin = float(student.ppf((1 + confidence) / 2, freedom)) * error
    return Distance(value, max(lowest, value - margin), value + margin)


def _blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in float64, a block at a time."""
    for start in range(0, len(features), BLOCK_ROWS):
        yield features[start : start + BLOCK_ROWS].astype(np.float64)


def _sliced_wasserstein(reference: np.ndarray, settings: Mapping[str, Any]) -> SlicedWasserstein:
    return SlicedWasserstein(reference, directions(reference.shape[1], settings["projections"]), settings["confidence"])


# The distances that config can ask for, each prepared with a reference and the settings of `measure`.
DISTANCES: dict[str, Callable[[np.ndarray, Mapping[str, Any]], Metric]] = {
    "sliced_wasserstein": _sliced_wasserstein,
    "frechet": lambda reference, settings: Frechet(reference, settings["confidence"]),
    "frechet_infinity": lambda reference, settings: FrechetInfinity(reference, settings["confidence"]),
    "kid": lambda reference, settings: Kid(reference, settings["confidence"]),
}
