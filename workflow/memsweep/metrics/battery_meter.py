"""Closeness, quality and diversity of the samples of a run: the metrics of `battery`, along training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..data.images import ImageSet
from ..study.training_sets import TrainingSet
from .balls import Balls, support
from .battery import NEAREST, SUPPORT, chosen, interval_of_share
from .closeness import nearer
from .estimate import Distance
from .neighbours import nearest
from .rows import Row, row_of_distance

# Images of a set that are compared at each step, beyond their nearest neighbours
MOST = 1000

# Those that are read off distances to the nearest image, in pixels
CLOSENESS = ("nearer", "authenticity")


class BatteryMeter:
    """Measures samples of runs against the training set, the control set and the held-out images.

    Sets of one size are compared, so that values against one can be read beside those against another: as many images
    of each as the smallest has, and at most `MOST`. Beside each metric stands, as ``<metric>_held_out``, what
    held-out images show in place of the samples, as many as there are of both.
    """

    def __init__(
        self, settings: Mapping[str, Any], references: Mapping[str, Mapping[str, np.ndarray]], data: ImageSet
    ) -> None:
        self.names = settings["battery"]
        self.supported = [name for name in self.names if name not in CLOSENESS]
        self.confidence = settings["confidence"]
        self.references = references
        self.images = np.concatenate([each.images.reshape(len(each), -1) for each in (data.train, data.test)])
        self.counts = len(data.train), len(data.test)
        self._of_sets: dict[TrainingSet, dict[str, _Closeness]] = {}
        self._balls: dict[tuple[TrainingSet, str], dict[str, Balls]] = {}

    def look_up(self, neighbours: pd.DataFrame, training_set: TrainingSet) -> None:
        """Find at once what `measure` would look up step by step, for all samples of all runs with one training set.

        Args:
            neighbours: their rows of the table ``neighbours``.
            training_set: that of the runs.
        """
        closeness = self._closeness(training_set)
        if "authenticity" in self._measured_by(closeness):
            for reference, pairs in neighbours.groupby("reference", sort=False):
                closeness[str(reference)].look_up(pairs["nearest"].to_numpy())

    def measure(
        self, samples: Mapping[str, np.ndarray], neighbours: pd.DataFrame, training_set: TrainingSet
    ) -> Iterator[Row]:
        """The metrics of samples.

        Args:
            samples: features (n, d) by space.
            neighbours: their rows of the table ``neighbours``.
            training_set: that of the run.
        """
        closeness = self._closeness(training_set)
        for reference, pairs in neighbours.groupby("reference", sort=False):
            near, distance = pairs["nearest"].to_numpy(), pairs["distance"].to_numpy()
            for name in self._measured_by(closeness):
                found = closeness[str(reference)].measure(name, near, distance, self.confidence)
                yield row_of_distance(name, "pixels", str(reference), found, len(pairs))
        for space, points in samples.items():
            yield from self._supported("{}", points, space, self._references(training_set, space))

    def held_out(self, count: int, training_set: TrainingSet) -> Iterator[Row]:
        """The same of held-out images in place of so many samples, against the training set."""
        closeness = self._closeness(training_set)
        if "authenticity" in self._measured_by(closeness):
            own = closeness["train"]
            found = own.measure("authenticity", own.held_out_nearest, own.held_out_distance, self.confidence)
            yield row_of_distance("authenticity_held_out", "pixels", "train", found, len(own.held_out_distance))
        for space in self.references:
            against = {name: of for name, of in self._references(training_set, space).items() if name == "train"}
            points = self.references[space]["test"]
            yield from self._supported("{}_held_out", points[chosen(len(points), count)], space, against)

    def _supported(self, name: str, points: np.ndarray, space: str, references: Mapping[str, Balls]) -> Iterator[Row]:
        some = points[chosen(len(points), MOST)]
        if not references or len(some) <= NEAREST:
            return
        around = Balls.around(some, NEAREST)
        for reference, balls in references.items():
            found = support(around, balls)
            for metric in self.supported:
                value = SUPPORT[metric][1](found, self.confidence)
                yield row_of_distance(name.format(metric), space, reference, value, len(some))

    def _measured_by(self, closeness: Mapping[str, _Closeness]) -> list[str]:
        return [name for name in self.names if name in CLOSENESS] if closeness else []

    def _closeness(self, training_set: TrainingSet) -> dict[str, _Closeness]:
        """What is known of the training and of the control set, if they have two images."""
        if training_set not in self._of_sets:
            sets = {
                "train": np.arange(training_set.first, training_set.stop),
                "control": np.array(training_set.control(*self.counts), dtype=np.int64),
            }
            held_out = self.images[self.counts[0] :]
            known = {name: _Closeness(self.images, rows, held_out) for name, rows in sets.items() if len(rows) > 1}
            self._of_sets[training_set] = known if set(self.names) & set(CLOSENESS) else {}
        return self._of_sets[training_set]

    def _references(self, training_set: TrainingSet, space: str) -> dict[str, Balls]:
        """Balls around as many images of each set, if these are enough for them."""
        if (training_set, space) not in self._balls:
            features = self.references[space]
            control = np.array(training_set.control(*self.counts), dtype=np.int64)
            sets = {
                "train": features["train"][training_set.rows],
                "test": features["test"],
                "control": np.concatenate([features["train"], features["test"]])[control],
            }
            size = min(MOST, *(len(points) for points in sets.values()))
            around = {name: partial(Balls.around, points[chosen(len(points), size)]) for name, points in sets.items()}
            enough = self.supported and size > NEAREST
            self._balls[training_set, space] = {name: of(NEAREST) for name, of in around.items()} if enough else {}
        return self._balls[training_set, space]


class _Closeness:
    """How close images are to a set, beside held-out images and its own."""

    def __init__(self, images: np.ndarray, rows: np.ndarray, held_out: np.ndarray) -> None:
        self.rows = rows
        self.points = images[rows]
        found = nearest(held_out, self.points, 1)
        self.held_out_nearest, self.held_out_distance = rows[found.index[:, 0]], found.distance[:, 0] / 255
        # Of each image of the set to its nearest other one, once it is asked for
        self._to_other = np.full(len(rows), np.nan)

    def measure(self, name: str, near: np.ndarray, distance: np.ndarray, confidence: float) -> Distance:
        """One of `CLOSENESS` of images, by the place and the distance of the nearest image of the set."""
        if name == "nearer":
            return nearer(distance, self.held_out_distance, confidence)
        return interval_of_share(distance > self._own(near), confidence)

    def look_up(self, near: np.ndarray) -> np.ndarray:
        """Places in the set of images given by their rows; their distances to their nearest other ones are found."""
        order = np.argsort(self.rows)
        place: np.ndarray = order[np.searchsorted(self.rows, near, sorter=order)]
        asked = np.unique(place[np.isnan(self._to_other[place])])
        if len(asked):
            self._to_other[asked] = nearest(self.points[asked], self.points, 2).distance[:, 1] / 255
        return place

    def _own(self, near: np.ndarray) -> np.ndarray:
        """The distance of images of the set to their own nearest other one."""
        return self._to_other[self.look_up(near)]
