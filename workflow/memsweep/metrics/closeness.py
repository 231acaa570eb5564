"""How close images are to a training set, beside images that were held out, and beside training images themselves."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from .estimate import Distance
from .neighbours import Neighbours, nearest


def authentic(found: Neighbours, train: np.ndarray) -> np.ndarray:
    """Which images are farther from their nearest training image than that is from its own nearest other one.

    Their share is the authenticity of Alaa et al. 2022 (equation 11), AuthPct / 100: near 0 for copies; what held-out
    images show depends on the data, and is what it compares with.

    Args:
        found: the nearest training images of the images, with k of at least 1.
        train: rows of at least 2 training images, uint8 or float32, in the units of which distances are.

    Returns:
        (images,), bool.
    """
    own, place = np.unique(found.index[:, 0], return_inverse=True)
    to_other = nearest(train[own], train, 2).distance[:, 1]  # the nearest is the image itself, or one that equals it
    result: np.ndarray = found.distance[:, 0] > to_other[place]
    return result


def nearer(generated: np.ndarray, held_out: np.ndarray, confidence: float) -> Distance:
    """The probability that a generated image is nearer to the training set than a held-out image is.

        P(d < d') + P(d = d') / 2,

    d and d' being the distances of a generated and of a held-out image to their nearest training images: the area under
    the curve by which these distances would tell both apart. The statistic is Mann and Whitney's, as in the test for
    copying of Meehan, Chaudhuri & Dasgupta 2020, there within cells. It is 1/2 for whatever knows nothing of its own
    training images and is as typical as held-out images; samples that are too typical, such as means, are above it too.

    The interval is method 5 of Newcombe 2006 (Statistics in Medicine 25:559), that of a score test under Hanley and
    McNeil's variance, which stays within [0, 1] and has a width at its ends; it is for the choice of both kinds of
    images, the training set being given.

    Args:
        generated, held_out: distances to the nearest training image, (m,) and (n,).
        confidence: level of the interval.
    """
    m, n = len(generated), len(held_out)
    ranks = rankdata(np.concatenate([held_out, generated]))[:n]
    value = float((ranks.sum() - n * (n + 1) / 2) / (m * n))
    z, others = float(norm.ppf((1 + confidence) / 2)), (m + n) / 2 - 1

    def error(area: float) -> float:
        variance = area * (1 - area) * (1 + others * (1 - area) / (2 - area) + others * area / (1 + area)) / (m * n)
        return z * float(np.sqrt(variance))

    def lowest(value: float) -> float:
        """The least area from which the value is as far as its error there; above 1 by symmetry."""
        # At the value itself nothing but its error is left; at 1 that is none, and the root sought is the other one
        high = min(value, 1 - 1e-9)
        return float(brentq(lambda area: value - area - error(area), 0, high)) if value > 0 else 0.0

    return Distance(value, lowest(value), 1 - lowest(1 - value))
