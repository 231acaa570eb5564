"""The kernel distance, with its interval."""

from __future__ import annotations

import numpy as np

from .estimate import Distance, blocks, standard_error, with_margin


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
    for block in blocks(left):
        total = np.zeros(len(block))
        for other in blocks(right):
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
