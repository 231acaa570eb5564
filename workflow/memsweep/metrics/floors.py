"""Floors of distances: what as many real images score, with which a perfect generator would have to be content.

A distance between a sample and a set is not 0 where both come from one distribution: it has a floor that falls with
their sizes. Real images for a floor lie neither in the reference nor, where they stand for what is new, in the training
set, and have as many of each label as the generated ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from .estimate import Distance
from .fidelity import Metric
from .sliced_wasserstein import SlicedWasserstein

# The distance whose least value is the peak of fidelity, and what its value is called on either half of the samples
PEAK_DISTANCE = "sliced_wasserstein"
HALVES = ("first", "second")


@dataclass(frozen=True)
class Floor:
    """The distances of several draws of real images.

    Attributes:
        values: the distance of each draw, (draws,).
        squares: its square where the distance is a root, else the distance itself: what is subtracted.
    """

    values: np.ndarray
    squares: np.ndarray

    def distance(self, confidence: float) -> Distance:
        """The mean over draws, and the interval that holds another draw with this confidence."""
        return _predicted(self.values, confidence)

    def corrected(self, square: Distance, confidence: float) -> Distance:
        """A squared distance less the mean of its floor.

        The interval has the noise of both, and of the sample at least as much as draws of real images have. Where
        the two distributions agree the expected value is 0, and half of all values are below it; it is exact only
        there. Of a generator that varies less than real images too much is subtracted, as its own floor is lower.

        Args:
            square: the squared distance, with its interval.
            confidence: level of both intervals.
        """
        count, spread = len(self.squares), float(self.squares.std(ddof=1))
        quantile = float(student.ppf((1 + confidence) / 2, count - 1))
        value = square.value - float(self.squares.mean())

        def margin(of_sample: float) -> float:
            return float(np.hypot(max(of_sample, quantile * spread), quantile * spread / np.sqrt(count)))

        return Distance(
            value, value - margin(square.value - square.ci_low), value + margin(square.ci_high - square.value)
        )


def _predicted(values: np.ndarray, confidence: float) -> Distance:
    count, mean = len(values), float(values.mean())
    margin = float(student.ppf((1 + confidence) / 2, count - 1)) * float(values.std(ddof=1)) * np.sqrt(1 + 1 / count)
    return Distance(mean, mean - margin, mean + margin)


def floor_of(metric: Metric, features: np.ndarray, draws: list[np.ndarray], *, projected: bool = False) -> Floor:
    """The floor of a distance that is prepared with its reference.

    Args:
        metric: the distance.
        features: of real images, (n, d); of a sliced distance (n, directions), where they are ``projected`` already.
        draws: rows of these, as of `draws_like`.
    """
    if not isinstance(metric, SlicedWasserstein):
        values = np.array([metric.value(features[rows]) for rows in draws])
        return Floor(values, values)
    # Each image is projected once, however often it is drawn
    images = features if projected else metric.projected(features)
    values = np.array([metric.value_of_projected(images[rows]) for rows in draws])
    return Floor(values, np.square(values))


def draws_like(labels: np.ndarray | None, count: int, pool: np.ndarray, draws: int) -> list[np.ndarray]:
    """Draws of real images with as many of each label as generated ones have, none twice in a draw.

    Args:
        labels: of the generated images, (m,); None where the model knows none.
        count: generated images m.
        pool: labels of the real images, (n,).
        draws: how many.

    Returns:
        Rows of the pool, (m,) each; none where the pool has too few images, of some label or in all.
    """
    wanted = {None: count} if labels is None else dict(zip(*np.unique(labels, return_counts=True), strict=True))
    rows_of = {label: np.flatnonzero(pool == label) if label is not None else np.arange(len(pool)) for label in wanted}
    if any(len(rows_of[label]) < number for label, number in wanted.items()):
        return []
    return list(_drawn(wanted, rows_of, draws))


def _drawn(wanted: dict[object, int], rows_of: dict[object, np.ndarray], draws: int) -> Iterator[np.ndarray]:
    source = np.random.default_rng(0)
    for _ in range(draws):
        parts = [source.choice(rows_of[label], number, replace=False) for label, number in wanted.items()]
        yield np.concatenate(parts)
