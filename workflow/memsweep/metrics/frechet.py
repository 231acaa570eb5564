"""Fréchet distances, with their intervals."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh, eigvalsh

from .estimate import Distance, blocks, halves, standard_error, with_margin

# Dimensions, those of Inception, beyond which they are not taken: their time grows as the cube
MOST_DIMENSIONS = 2048


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
            for part in blocks(reference):
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
