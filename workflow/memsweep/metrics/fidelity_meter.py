"""Fidelity of the samples of a run: how far they are from real images, beside what as many real images would be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..data.images import ImageSet
from ..study.training_sets import TrainingSet
from .estimate import halves
from .fidelity import DISTANCES, FRECHET, Metric
from .floors import HALVES, PEAK_DISTANCE, Floor, draws_like, floor_of
from .frechet import MOST_DIMENSIONS
from .rows import Row, row_of_distance
from .sliced_wasserstein import SlicedWasserstein, Sorted


class FidelityMeter:
    """Measures how far samples are from the training set and from the held-out images, in each space.

    Beside each distance stands its floor, that of as many real images with the same labels. Against the held-out images
    these come from the images that the run could have been trained on and was not; against the training set, from these
    and the held-out ones.
    """

    def __init__(
        self, settings: Mapping[str, Any], references: Mapping[str, Mapping[str, np.ndarray]], data: ImageSet
    ) -> None:
        self.settings = settings
        self.confidence = settings["confidence"]
        self.draws = settings["floor_draws"]
        self.names = settings["distances"]
        self.references = references
        self.labels = {"train": data.train.labels, "test": data.test.labels}
        self._distances: dict[tuple[str, TrainingSet | None], dict[str, Metric]] = {}
        self._floors: dict[tuple[Any, ...], Floor | None] = {}
        self._images: dict[tuple[str, bool], np.ndarray] = {}

    def measure(
        self, samples: Mapping[str, np.ndarray], labels: np.ndarray | None, training_set: TrainingSet
    ) -> Iterator[Row]:
        """Distances of samples, given as features (n, d) by space, in each space and against each split.

        Those whose floor is known also without it, as ``<metric>_corrected``: squared, and on average 0 for real
        images. Of the three even KID is not so by itself, as its samples are drawn label by label and not all alike.

        Args:
            samples: by space.
            labels: of the samples, (n,); None where the model knows none.
            training_set: that of the run.
        """
        count = len(next(iter(samples.values())))
        for space, generated in samples.items():
            projected = self._projected(space, generated)
            in_order = None if projected is None else Sorted.of(projected)
            for reference, chosen in (("train", training_set), ("test", None)):
                for name, metric in self._prepared(space, chosen).items():
                    if isinstance(metric, SlicedWasserstein) and in_order is not None:
                        square = metric.squared_of_sorted(in_order, labels)
                        distance = metric.root(square)
                    else:  # which are squares themselves
                        square = distance = metric(generated, labels)
                    if np.isnan(distance.value):
                        continue  # too few samples
                    yield row_of_distance(name, space, reference, distance, count)
                    if floor := self._floor(space, reference, name, labels, count, training_set):
                        corrected = floor.corrected(square, self.confidence)
                        yield row_of_distance(f"{name}_corrected", space, reference, corrected, count)
            if projected is not None:
                yield from self._halves(space, projected, labels, training_set)

    def _projected(self, space: str, generated: np.ndarray) -> np.ndarray | None:
        """Samples along the directions of a sliced distance, which are those of every reference; None without one."""
        metric = self._prepared(space, None).get(PEAK_DISTANCE)
        return metric.projected(generated) if isinstance(metric, SlicedWasserstein) else None

    def _halves(
        self, space: str, projected: np.ndarray, labels: np.ndarray | None, training_set: TrainingSet
    ) -> Iterator[Row]:
        """The corrected distance of either half of the samples: where it is least on one is told by the other."""
        metric = self._prepared(space, None)[PEAK_DISTANCE]
        assert isinstance(metric, SlicedWasserstein)
        for half, rows in zip(HALVES, halves(labels, len(projected)), strict=True):
            own, count = None if labels is None else labels[rows], len(rows)
            if count > 1 and (floor := self._floor(space, "test", PEAK_DISTANCE, own, count, training_set)):
                corrected = floor.corrected(metric.squared_of_sorted(Sorted.of(projected[rows]), own), self.confidence)
                yield row_of_distance(f"{PEAK_DISTANCE}_corrected_{half}", space, "test", corrected, count)

    def floors(self, labels: np.ndarray | None, count: int, training_set: TrainingSet) -> Iterator[Row]:
        """The floor of each distance, if it has any, of so many samples with these labels."""
        for reference, space in itertools.product(("train", "test"), self.references):
            for name in self._prepared(space, training_set if reference == "train" else None):
                if count and (floor := self._floor(space, reference, name, labels, count, training_set)):
                    yield row_of_distance(f"{name}_floor", space, reference, floor.distance(self.confidence), count)

    def _floor(
        self,
        space: str,
        reference: str,
        name: str,
        labels: np.ndarray | None,
        count: int,
        training_set: TrainingSet,
    ) -> Floor | None:
        """The floor of one distance; none where there are too few real images."""
        key = space, reference, name, training_set, count if labels is None else np.sort(labels).tobytes()
        if key not in self._floors:
            pool = self._pool(reference, training_set)
            draws = draws_like(labels, count, np.concatenate(list(self.labels.values()))[pool], self.draws)
            metric = self._prepared(space, training_set if reference == "train" else None)[name]
            real, projected = self._real(space, metric)
            found = floor_of(metric, real, [pool[rows] for rows in draws], projected=projected) if draws else None
            self._floors[key] = None if found is None or np.isnan(found.values).any() else found
        return self._floors[key]

    def _real(self, space: str, metric: Metric) -> tuple[np.ndarray, bool]:
        """All images, those to train on and the held-out ones, and whether they are projected, once for all floors."""
        is_sliced = isinstance(metric, SlicedWasserstein)
        if (space, is_sliced) not in self._images:
            parts = self.references[space]["train"], self.references[space]["test"]
            found = map(metric.projected, parts) if isinstance(metric, SlicedWasserstein) else parts
            self._images[space, is_sliced] = np.concatenate(list(found))
        return self._images[space, is_sliced], is_sliced

    def _pool(self, reference: str, training_set: TrainingSet) -> np.ndarray:
        """Places of the real images from which a floor is drawn: none of the reference, none of the training set."""
        train, test = (len(labels) for labels in self.labels.values())
        return np.delete(np.arange(train + test if reference == "train" else train), training_set.rows)

    def _prepared(self, space: str, chosen: TrainingSet | None) -> dict[str, Metric]:
        """The distances asked for, prepared once a reference: a training set, or without one the held-out images."""
        if (space, chosen) not in self._distances:
            features = self.references[space]
            images = features["train"][chosen.rows] if chosen else features["test"]
            left_out = FRECHET if images.shape[1] > MOST_DIMENSIONS else ()
            prepared = {name: DISTANCES[name](images, self.settings) for name in self.names if name not in left_out}
            self._distances[space, chosen] = prepared
        return self._distances[space, chosen]
