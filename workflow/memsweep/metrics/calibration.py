"""Copies by a rule whose false-positive rate is set: what share of images that copy nothing it would call copies.

The field's rule, d1 / d2 < 1/3, is as strict as the training set is sparse: d2 shrinks as images are added, and the
same noisy copy that is found among 16 images is missed among 128. Here the threshold on d1 / d2 follows from held-out
images, which were drawn like the training images and are none of them: a stated share of these lies below it. Shares
found with it are comparable across training sets of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import betabinom

from ..data.near_duplicates import LARGEST_DISTANCE, reduced
from .neighbours import nearest
from .novelty import Share, copies, share, share_of

# The field's threshold on d1 / d2 (Gu et al. 2023; Bonnaire et al. 2025)
FIELD_THRESHOLD = 1 / 3

# The false-positive rate that is set unless another is asked for
RATE = 0.01

# A threshold lies by this share above the last ratio that is to be below it, which no rounding undoes
_JUST = 1e-12


@dataclass(frozen=True)
class Distances:
    """Distances to the two nearest images of a set.

    Attributes:
        first, second: d1 and d2, of one shape, float64: (images,) or, to several sets, (sets, images).
    """

    first: np.ndarray
    second: np.ndarray

    def copies(self, threshold: float) -> np.ndarray:
        """Which are copies, d1 / d2 < threshold (`novelty.copies`), bool, of the distances' shape."""
        return copies(self.first, self.second, threshold)

    @property
    def ratio(self) -> np.ndarray:
        """d1 / d2, and 0 where both are 0; of the distances' shape, float64."""
        return np.divide(self.first, self.second, out=np.zeros_like(self.first), where=self.second > 0)


def apart(held_out: np.ndarray, train: np.ndarray) -> NDArray[np.int64]:
    """Rows of held-out images that are no training image, nor nearly one.

    Nearness is that of pictures of 8x8 pixels at a fixed distance (`data.near_duplicates`): to leave images out by the
    ratio d1 / d2, too, would take away the very images by which a rule on it is calibrated.

    Args:
        held_out, train: images (n, H, W, C) uint8.
    """
    pictures, others = (reduced(images, range(len(images))) for images in (held_out, train))
    return np.flatnonzero(nearest(pictures, others, 1).distance[:, 0] > LARGEST_DISTANCE)


@dataclass(frozen=True)
class Calibration:
    """A threshold on a score, such as d1 / d2, and how often it calls held-out images copies.

    Attributes:
        threshold: a copy's score lies below it.
        rate: the false-positive rate asked for.
        achieved: the share of the held-out images below the threshold, with its interval.
    """

    threshold: float
    rate: float
    achieved: Share

    @property
    def is_possible(self) -> bool:
        """Whether there were enough held-out images to set this rate: at least 1 / rate - 1."""
        return self.achieved.count + 1 >= (1 - _JUST) / self.rate


def calibrate(held_out: Distances, rate: float = RATE, confidence: float = 0.95) -> Calibration:
    """The threshold on d1 / d2: `calibrate_scores` of held-out images' distances."""
    return calibrate_scores(held_out.ratio, rate, confidence)


def calibrate_scores(held_out: np.ndarray, rate: float = RATE, confidence: float = 0.95) -> Calibration:
    """The greatest threshold at which a new held-out image is called a copy with probability at most ``rate``.

    Of n held-out images, the k = ⌊rate (n + 1)⌋ with the least scores lie below it. The score of a further image is
    then among these with probability k / (n + 1), whatever the distribution (Vovk et al. 2005, conformal prediction).
    With too few images for k = 1, nothing but exact copies is below.

    The interval of the rate achieved is that of Clopper and Pearson. It holds although the threshold was chosen on the
    same images: the share of the population below the k-th of n scores is Beta(k, n - k + 1), whose lower quantile is
    Clopper and Pearson's, and whose upper one is below theirs. Several sets of reference images make the threshold
    steadier, but held-out images that are near one another's references are not independent: each image counts once.

    Args:
        held_out: scores, at least 0 and the less the nearer, (images,), of images that were drawn as the training
            images were, against the training set, or against several sets of its size that share no image,
            (sets, images).
        rate: false-positive rate, in (0, 1).
        confidence: level of the interval.

    Raises:
        ValueError: there are no images, or the rate is none.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate of {rate}; one between 0 and 1 expected")
    if not held_out.size:
        raise ValueError("no held-out images to set a rate by")
    ordered = np.sort(held_out.ravel())
    images = held_out.shape[-1]
    allowed = math.floor(rate * (images + 1) * (ordered.size // images) + 1e-9)
    below = ordered[:allowed]
    if allowed < ordered.size:  # what equals a score that must not be below is not below either
        below = below[below * (1 + 2 * _JUST) < ordered[allowed]]
    threshold = max(_JUST, float(below[-1]) * (1 + _JUST)) if below.size else _JUST
    return Calibration(threshold, rate, _share_of_images(held_out < threshold, confidence))


def _share_of_images(hits: np.ndarray, confidence: float) -> Share:
    """The share of hits, (images,) or (sets, images), with the interval of as many trials as there are images."""
    return share_of(float(hits.mean()) * hits.shape[-1], hits.shape[-1], confidence)


def chance_of(hits: int, count: int, calibration: Calibration) -> float:
    """The probability that so many of ``count`` images or more are called copies where none is one.

    Exact for images that are drawn as the held-out ones were, whose ratios have no ties: among the k least of n
    held-out ratios lie as many of ``count`` further ones as BetaBinomial(count, k, n - k + 1) says. NaN where the
    calibration calls no held-out image a copy.
    """
    images = calibration.achieved.count
    found = calibration.achieved.value * images
    if found <= 0:
        return math.nan
    # Added up from above, as 1 less the rest has no digits where the probability is small
    terms = betabinom.logpmf(np.arange(hits, count + 1), count, found, images - found + 1)
    return min(1.0, float(np.exp(logsumexp(terms))))


def copy_shares(
    generated: Distances, held_out: Distances | None, rate: float = RATE, confidence: float = 0.95
) -> pd.DataFrame:
    """The share of copies by the field's rule and, where there are held-out images, by the calibrated one.

    The interval of generated images is that of their number, the threshold being given.

    Args:
        generated: against the training set, (images,).
        held_out: as of `calibrate`; None where there are none.
        rate: false-positive rate of the calibrated rule, in (0, 1).
        confidence: level of intervals.

    Returns:
        The table ``copy_shares`` (`tables.contracts.comparison`), a row for each rule.
    """
    rules: list[tuple[str, float, Share | None, Calibration | None]] = []
    field = None if held_out is None else _share_of_images(held_out.copies(FIELD_THRESHOLD), confidence)
    rules.append(("field", FIELD_THRESHOLD, field, None))
    if held_out is not None:
        calibration = calibrate(held_out, rate, confidence)
        rules.append(("calibrated", calibration.threshold, calibration.achieved, calibration))
    rows = []
    for rule, threshold, control, set_by in rules:
        hits = generated.copies(threshold)
        found = share(hits, confidence)
        rows.append(
            {
                "rule": rule,
                "threshold": threshold,
                "value": found.value,
                "ci_low": found.ci_low,
                "ci_high": found.ci_high,
                "generated": found.count,
                "held_out_value": control.value if control else math.nan,
                "held_out_ci_low": control.ci_low if control else math.nan,
                "held_out_ci_high": control.ci_high if control else math.nan,
                "held_out": control.count if control else 0,
                "chance": chance_of(int(hits.sum()), found.count, set_by) if set_by else math.nan,
            }
        )
    return pd.DataFrame(rows)
