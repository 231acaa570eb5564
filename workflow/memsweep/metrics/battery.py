"""The metrics that a reader expects of samples, each against training and held-out images, with what it cannot say.

Distributions are compared at equal numbers: as many generated images as held-out ones stand for samples, and as many
training images as held-out ones for the reference. So a metric can be read beside its value against the other
reference, and beside that of held-out images in place of generated ones, which is what a perfect sampler shows with so
few images. Closeness to the training set (`closeness`) needs no equal numbers, and has all images.

Intervals take generated images for independent draws. Where a fixed number of each class was generated they are too
wide rather than too narrow. Of recall and coverage the interval is that of the reference images, as resampling the
generated ones would change the very balls that these lie in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..tables.frames import frame_of
from .balls import Balls, Support, support
from .closeness import authentic, nearer
from .estimate import Distance
from .fidelity import DISTANCES
from .floors import PEAK_DISTANCE
from .frechet import MOST_DIMENSIONS
from .neighbours import Neighbours
from .novelty import share

# Images of a set that are compared beyond their nearest neighbours: as many as sliced distances are taken of by Marion
# & Wu 2026
MOST = 2000

# k of the balls, as of `prdc`
NEAREST = 5

# Directions of the sliced Wasserstein distance
PROJECTIONS = 200

# Dimensions below which the KID is said to see little
NARROW = 128

Row = dict[str, Any]


@dataclass(frozen=True)
class Samples:
    """Images in one space, and where the nearest training images of each are.

    Attributes:
        points: rows, uint8 pixels or float32 features.
        found: nearest training images, in the units of the rows.
    """

    points: np.ndarray
    found: Neighbours

    def __len__(self) -> int:
        return len(self.points)

    def some(self, count: int) -> Samples:
        """So many of them, chosen at random, the same ones every time; all where there are no more."""
        rows = chosen(len(self), count)
        return replace(
            self, points=self.points[rows], found=Neighbours(self.found.index[rows], self.found.distance[rows])
        )


def battery(
    generated: Samples,
    train: np.ndarray,
    held_out: Samples | None,
    confidence: float = 0.95,
    most: int = MOST,
) -> pd.DataFrame:
    """Every metric of generated images.

    Args:
        generated: at least 2.
        train: training images, rows as those of ``generated``, at least 2.
        held_out: images that were drawn like the training images and are none of them, at least 2; None without any.
        confidence: level of intervals.
        most: images of a set that are compared, but for distances to the nearest and the Fréchet distance.

    Returns:
        The table ``battery`` (`tables.contracts.comparison`).
    """
    metrics = [*SUPPORT, PEAK_DISTANCE, "kid", "frechet"]
    return frame_of(
        [
            *_closeness(generated, train, held_out, confidence, most),
            *_distributions(generated, train, held_out, confidence, most, metrics),
        ]
    )


def distance_rows(
    generated: Samples, train: np.ndarray, held_out: Samples | None, confidence: float = 0.95, most: int = MOST
) -> pd.DataFrame:
    """The rows of `battery` of the distance by which samples are followed along training; arguments are the same."""
    return frame_of(_distributions(generated, train, held_out, confidence, most, [PEAK_DISTANCE]))


def _closeness(
    generated: Samples, train: np.ndarray, held_out: Samples | None, confidence: float, most: int
) -> Iterator[Row]:
    if held_out is None:
        yield _row("nearer", "train", (len(generated), len(train)), note="needs held-out images")
    else:
        found = nearer(generated.found.distance[:, 0], held_out.found.distance[:, 0], confidence)
        yield _row("nearer", "train", (len(generated), len(train)), found, "generated and held_out", 0.5)
    some = generated.some(most)
    found = interval_of_share(authentic(some.found, train), confidence)
    beside = math.nan if held_out is None else float(authentic(held_out.some(most).found, train).mean())
    yield _row("authenticity", "train", (len(some), len(train)), found, "generated", beside)


def _distributions(
    generated: Samples,
    train: np.ndarray,
    held_out: Samples | None,
    confidence: float,
    most: int,
    metrics: Sequence[str],
) -> Iterator[Row]:
    samples, size = len(generated), len(train)
    if held_out is not None:
        samples, size = min(samples, len(held_out)), min(size, len(held_out))
    sets = {"train": train} | ({} if held_out is None else {"held_out": held_out.points})

    def at(samples: int, size: int) -> Iterator[tuple[str, _Pair]]:
        perfect = None if held_out is None else _points(held_out.points, samples)
        fakes = _points(generated.points, samples)
        for name, points in sets.items():
            yield name, _Pair(fakes, _points(points, size), perfect if name == "train" else None, confidence)

    for chosen, count, references in (
        ([metric for metric in metrics if metric != "frechet"], min(samples, most), min(size, most)),
        ([metric for metric in metrics if metric == "frechet"], samples, size),
    ):
        perfect: dict[str, float] = {}
        for name, pair in at(count, references) if chosen else ():
            for metric in chosen:
                row = pair.row(metric, name)
                # By symmetry, a perfect sampler shows the same against either
                perfect.setdefault(metric, row["held_out_value"])
                yield {**row, "held_out_value": perfect[metric]}


@dataclass(frozen=True)
class _Pair:
    """Generated images and a reference, (m, d) and (n, d), and held-out images in place of generated ones.

    Pixels are uint8, whose balls are exact and fast, features float32.
    """

    generated: np.ndarray
    reference: np.ndarray
    perfect: np.ndarray | None
    confidence: float

    def row(self, metric: str, reference: str) -> Row:
        """A row of the table for one metric."""
        counts = len(self.generated), len(self.reference)
        missing, warning = self._failing(metric)
        if missing:
            return _row(metric, reference, counts, note=missing)
        if metric in SUPPORT:
            interval_of, measure = SUPPORT[metric]
            value = measure(self._support, self.confidence)
            beside = math.nan if self._ideal is None else measure(self._ideal, self.confidence).value
        else:
            interval_of = "generated"
            settings = {"projections": PROJECTIONS, "confidence": self.confidence}
            distance = DISTANCES[metric](_in_units(self.reference), settings)
            value = distance(_in_units(self.generated))
            beside = math.nan if self.perfect is None else distance.value(_in_units(self.perfect))
        return _row(metric, reference, counts, value, interval_of, beside, warning)

    def _failing(self, metric: str) -> tuple[str, str]:
        """Why a metric cannot be taken here, or else what makes it misleading; nothing where it is sound."""
        fewest, dimension = min(len(self.generated), len(self.reference)), self.generated.shape[1]
        if metric in SUPPORT and fewest <= NEAREST:
            return f"needs more than {NEAREST} images of each set, the neighbours of a ball", ""
        if metric == "frechet" and dimension > MOST_DIMENSIONS:
            return f"not taken in {dimension} dimensions, where a feature space says more", ""
        if metric == "frechet" and fewest <= dimension:
            return f"needs more images than the space has dimensions, {dimension}: of fewer, most of it is bias", ""
        if metric == "frechet" and fewest < 10 * dimension:
            return "", "biased upwards by so few images"
        if metric == "kid" and dimension < NARROW:
            return "", f"its kernel sees no more than three moments of these {dimension} dimensions"
        return "", ""

    @cached_property
    def _balls(self) -> Balls:
        return Balls.around(self.reference, NEAREST)

    @cached_property
    def _support(self) -> Support:
        return support(Balls.around(self.generated, NEAREST), self._balls)

    @cached_property
    def _ideal(self) -> Support | None:
        return None if self.perfect is None else support(Balls.around(self.perfect, NEAREST), self._balls)


def interval_of_share(hits: np.ndarray, confidence: float) -> Distance:
    """The share of hits, (n,) bool, with its interval."""
    found = share(hits, confidence)
    return Distance(found.value, found.ci_low, found.ci_high)


def _mean(values: np.ndarray, confidence: float) -> Distance:
    """The mean of independent values, none below 0, with Student's interval."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    value, margin = float(values.mean()), float(student.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Distance(value, max(0.0, value - margin), value + margin)


# The metrics of balls: what varies within their interval, and how they come from `Support`
SUPPORT: dict[str, tuple[str, Callable[[Support, float], Distance]]] = {
    "precision": ("generated", lambda found, confidence: interval_of_share(found.is_real, confidence)),
    "recall": ("reference", lambda found, confidence: interval_of_share(found.is_recalled, confidence)),
    "density": ("generated", lambda found, confidence: _mean(found.balls, confidence)),
    "coverage": ("reference", lambda found, confidence: interval_of_share(found.is_covered, confidence)),
}


def _row(
    metric: str,
    reference: str,
    counts: tuple[int, int],
    found: Distance | None = None,
    interval_of: str = "",
    held_out_value: float = math.nan,
    note: str = "",
) -> Row:
    """A row of the table; ``counts`` are the generated and the reference images that were compared."""
    value = found or Distance(math.nan, math.nan, math.nan)
    return {
        "metric": metric,
        "reference": reference,
        "value": value.value,
        "ci_low": value.ci_low,
        "ci_high": value.ci_high,
        "interval_of": interval_of,
        "held_out_value": held_out_value,
        "generated": counts[0],
        "references": counts[1],
        "note": note,
    }


def chosen(rows: int, count: int) -> np.ndarray:
    """At most so many of these rows, at random, in their order."""
    return np.arange(rows) if rows <= count else np.sort(np.random.default_rng(0).permutation(rows)[:count])


def _points(rows: np.ndarray, count: int) -> np.ndarray:
    """So many rows, chosen at random."""
    return rows[chosen(len(rows), count)]


def _in_units(rows: np.ndarray) -> np.ndarray:
    """Rows as float32, pixels in [0, 1]."""
    return rows.astype(np.float32) / np.float32(255) if rows.dtype == np.uint8 else rows
