"""Whether one set of images copies another: copies, nearest pairs and the battery, of images in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.given import Given, check_count
from .battery import Samples, battery, distance_rows
from .calibration import RATE, Distances, apart, copy_shares
from .duplicates import Duplicates, different, duplicates
from .neighbours import nearest
from .novelty import share

# Images (n, H, W, C) uint8 to rows (n, d)
FeatureSpace = Callable[[np.ndarray], np.ndarray]

# The spaces in which anybody's images can be compared: all that no study has to train first
SPACES = ("pixels", "inception", "sscd", "dinov2")

# Cosine similarity in the space of SSCD beyond which the field calls a sample a copy
SSCD_THRESHOLD = 0.6


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Attributes:
        copy_shares, battery, nearest_pairs: the tables of these names (`tables.contracts.comparison`); pairs are
            ordered, the least d1 / d2 first.
        duplicates: images that equal others.
        rate: the false-positive rate that was set; above the one asked for where there were too few held-out images.
    """

    copy_shares: pd.DataFrame
    battery: pd.DataFrame
    nearest_pairs: pd.DataFrame
    duplicates: Duplicates
    rate: float


@dataclass(frozen=True)
class References:
    """What generated images are compared with, in one space; what does not depend on them is found once.

    Training images that are there twice count once, as a copy of one of them would be as near to the other. Held-out
    images that are, or nearly are, training images say nothing of images that copy nothing, and are left out.

    Attributes:
        train: training images, and ``kept``, rows of the different ones.
        held_out: images that were held out, None without any, and ``apart``, those that are no training images.
        space: its name, and ``points``, the map from images to its rows.
        train_points: of the different training images.
        control: of the held-out images that are no training images.
        rate: the false-positive rate that is set; above the one asked for where there are too few held-out images.
        confidence: level of intervals.
    """

    train: Given
    kept: np.ndarray
    held_out: Given | None
    apart: np.ndarray | None
    space: str
    points: FeatureSpace
    train_points: np.ndarray
    control: Samples | None
    rate: float
    confidence: float

    def placed(self, generated: Given) -> Samples:
        """Generated images in the space, with their nearest training images.

        Raises:
            UserError: there are fewer than 2.
        """
        check_count(generated, len(generated))
        return _placed(self.points(generated.images), self.train_points)

    def to_train(self, samples: Samples) -> Distances:
        """Distances of images to their two nearest training images; of pixels in [0, 1]."""
        return Distances(*(samples.found.distance / (255.0 if self.space == "pixels" else 1.0)).T)

    def copy_shares(self, samples: Samples) -> pd.DataFrame:
        """The table ``copy_shares`` of generated images."""
        to, control = self.to_train(samples), None if self.control is None else self.to_train(self.control)
        shares = copy_shares(to, control, self.rate, self.confidence)
        if self.space != "sscd":
            return shares
        return pd.concat([shares, _sscd_share(to, control, self.confidence)], ignore_index=True)

    def distances(self, samples: Samples) -> pd.DataFrame:
        """The rows of `battery` by which samples are followed along training."""
        return distance_rows(samples, self.train_points, self.control, self.confidence)

    def compare(self, generated: Given, samples: Samples) -> Compared:
        """All that there is to say of generated images; ``samples`` are these, as placed."""
        shares = self.copy_shares(samples)
        threshold = float(shares.loc[shares["rule"] != "sscd", "threshold"].iloc[-1])
        return Compared(
            shares,
            battery(samples, self.train_points, self.control, self.confidence),
            _pairs(generated, self.train, self.kept[samples.found.index[:, 0]], self.to_train(samples), threshold),
            duplicates(generated, self.train, self.held_out, self.apart),
            self.rate,
        )


@contextmanager
def references(
    train: Given,
    held_out: Given | None,
    space: str = "pixels",
    weights: Mapping[str, str] | None = None,
    rate: float = RATE,
    confidence: float = 0.95,
) -> Iterator[References]:
    """Training and held-out images, ready to compare generated images of the same shape with.

    Args:
        train, held_out: at least 2 images each; ``held_out`` is None where there are none.
        space: one of `SPACES`.
        weights: file of a published network's weights by its space.
        rate: false-positive rate of the calibrated rule.
        confidence: level of intervals.

    Raises:
        UserError: there are fewer than 2 different images of a set, or the network of the space is missing.
    """
    kept = np.array(sorted(different(train.images).values()))
    check_count(train, len(kept), "different images")
    others = None
    if held_out is not None:
        others = held_out.images[apart(held_out.images, train.images)]
        check_count(held_out, len(others), "images that are none of the training images")
    with _points(space, weights) as points:
        of_train = points(train.images[kept])
        control = None if others is None else _placed(points(others), of_train)
        used = rate if others is None else max(rate, 1 / (len(others) + 1))
        yield References(train, kept, held_out, others, space, points, of_train, control, used, confidence)


def compare_images(
    generated: Given,
    train: Given,
    held_out: Given | None,
    space: str = "pixels",
    weights: Mapping[str, str] | None = None,
    rate: float = RATE,
    confidence: float = 0.95,
) -> Compared:
    """Compare at least 2 generated images; arguments and errors are those of `references`."""
    with references(train, held_out, space, weights, rate, confidence) as known:
        return known.compare(generated, known.placed(generated))


@contextmanager
def _points(space: str, weights: Mapping[str, str] | None) -> Iterator[FeatureSpace]:
    """The map from images to rows: pixels as they are, whose distances are exact, or features, float32."""
    if space == "pixels":
        yield lambda images: images.reshape(len(images), -1)
        return
    from .features import Space, opened  # and torchvision, which pixels need not wait for

    with opened({space: Space.find(space, given=weights)}) as maps:
        yield maps[space]


def _placed(rows: np.ndarray, train: np.ndarray) -> Samples:
    return Samples(rows, nearest(rows, train))


def _sscd_share(generated: Distances, held_out: Distances | None, confidence: float) -> pd.DataFrame:
    """The row of `copy_shares` of the SSCD score (Pizzi et al. 2022; Marion & Wu 2026)."""

    def score(distances: Distances) -> np.ndarray:
        similar: np.ndarray = 1 - np.square(distances.first) / 2 > SSCD_THRESHOLD  # of vectors of length 1
        return similar

    found, row = share(score(generated), confidence), {"rule": "sscd", "threshold": SSCD_THRESHOLD}
    shown = {"value": found.value, "ci_low": found.ci_low, "ci_high": found.ci_high, "generated": found.count}
    if held_out is None:
        return pd.DataFrame([{**row, **shown, "held_out": 0}])
    control = share(score(held_out), confidence)
    beside = {"value": control.value, "ci_low": control.ci_low, "ci_high": control.ci_high}
    return pd.DataFrame(
        [{**row, **shown, **{f"held_out_{key}": end for key, end in beside.items()}, "held_out": control.count}]
    )


def _pairs(generated: Given, train: Given, nearest_rows: np.ndarray, to: Distances, threshold: float) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "index": np.arange(len(generated)),
            "name": list(generated.names),
            "nearest": nearest_rows,
            "nearest_name": [train.names[row] for row in nearest_rows],
            "distance": to.first,
            "second_distance": to.second,
            "ratio": to.ratio,
            "is_copy": to.copies(threshold),
        }
    )
    return table.sort_values(["ratio", "distance", "index"], ignore_index=True)
