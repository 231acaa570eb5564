"""How far two models agree that start from the same latents, and how much each leans towards its own images.

Models that were trained on disjoint sets and still generate the same image from the same latent have learnt what the
sets share (Kadkhodaie et al. 2024, arXiv 2310.02557; Zhang et al. 2024, arXiv 2310.05264); they part when each turns to
its own images, which begins before any sample is a copy (Garnier-Brun et al. 2026, arXiv 2603.03469).

All functions take samples in pairs: row i of both sides is of one latent and one label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from .fidelity import Distance, standard_error, with_margin
from .novelty import share_of

SHARES = ("lean", "reproducibility")
"""The measures that are means of what lies between 0 and 1."""


@dataclass(frozen=True)
class Measured:
    """A measure of two runs.

    Attributes:
        measure, space: its name, and the feature space.
        found: the mean over latents, and its interval.
        latents: which of those that were compared, (m,).
        influence: of each of these on the mean, up to a constant, (m,).
    """

    measure: str
    space: str
    found: Distance
    latents: np.ndarray
    influence: np.ndarray


def cosines(left: np.ndarray, right: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The cosine similarity of each pair, both sides less a centre, (m,); 0 where a side has no direction.

    Args:
        left, right: (m, d).
        centre: such as the mean of all training images, (d,).
    """
    a, b = left - centre, right - centre
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide(np.einsum("ij,ij->i", a, b), sizes, out=np.zeros(len(a)), where=sizes > 0)


@dataclass(frozen=True)
class Relative:
    """Distances of pairs as shares of those of unrelated pairs: of other latents, with the same label.

    Attributes:
        distances: of each pair over the mean of the unrelated ones, (m,).
        influence: of each latent on their mean, which counts as a ratio, (m,).
    """

    distances: np.ndarray
    influence: np.ndarray


def relative(left: np.ndarray, right: np.ndarray, strata: np.ndarray) -> Relative | None:
    """Compare each pair with unrelated ones; None where no label is there twice.

    0 for two models that generate the same, 1 for two whose images have no more in common than their label.

    Args:
        left, right: (m, d).
        strata: labels, (m,).
    """
    m = len(left)
    own = np.linalg.norm(left - right, axis=1)
    total, count, hoeffding = 0.0, 0, np.full(m, np.nan)
    for label in np.unique(strata):
        rows = np.flatnonzero(strata == label)
        if len(rows) < 2:
            continue
        apart = cdist(left[rows], right[rows])
        np.fill_diagonal(apart, 0)
        total, count = total + float(apart.sum()), count + len(rows) * (len(rows) - 1)
        hoeffding[rows] = (apart.sum(axis=0) + apart.sum(axis=1)) / (len(rows) - 1)
    if not total:
        return None
    unrelated = total / count
    # A latent is in unrelated pairs with both of its sides; one whose label is there once is in none
    moved = np.where(np.isnan(hoeffding), unrelated, hoeffding - unrelated)
    distances = own / unrelated
    return Relative(distances, (own - distances.mean() * moved) / unrelated)


def leans(to_own: np.ndarray, to_other: np.ndarray, other_to_own: np.ndarray, other_to_other: np.ndarray) -> np.ndarray:
    """How much both samples of each latent are nearer to their own model's training set than to the other's, (m,).

        ½ [1(d(x_A, S_A) < d(x_A, S_B)) + 1(d(x_B, S_B) < d(x_B, S_A))],

    equal distances counting a half. Its mean is ½ for two models that know nothing of their own images, whatever they
    generate and however central one set is, as what the one gains by that the other loses; and 1 for two copiers.

    Args:
        to_own, to_other: of the samples of the one model to the nearest image of its own set, and of the other's, (m,).
        other_to_own, other_to_other: of the samples of the other model to its own set, and to that of the one, (m,).
    """
    return (_nearer(to_own, to_other) + _nearer(other_to_own, other_to_other)) / 2


def _nearer(distance: np.ndarray, other: np.ndarray) -> np.ndarray:
    result: np.ndarray = (distance < other) + (distance == other) / 2
    return result


def mean_of(values: np.ndarray, influence: np.ndarray, strata: np.ndarray, confidence: float) -> Distance:
    """The mean over latents with the interval of `fidelity.standard_error` for their influence, (m,) each."""
    error, freedom = standard_error(influence, strata)
    return with_margin(float(values.mean()), error, freedom, confidence)


def share_among(values: np.ndarray, strata: np.ndarray, confidence: float) -> Distance:
    """The mean over latents of what lies between 0 and 1, (m,), with the interval of `share_with`."""
    return share_with(float(values.mean()), standard_error(values, strata)[0], len(values), confidence)


def share_with(value: float, error: float, count: int, confidence: float) -> Distance:
    """A mean of what lies between 0 and 1, with an interval that does too.

    That of a share of as many independent hits as would vary as much, and so exact for hits; of values that are all
    0 or all 1 it is that of the latents there are.

    Args:
        value, error: the mean and its standard error.
        count: latents.
        confidence: level of the interval.
    """
    hits = value * (1 - value) / error**2 if error > 0 else float(count)
    found = share_of(value * hits, hits, confidence)
    return Distance(found.value, found.ci_low, found.ci_high)
