"""Novelty of the samples of a run: which of them are copies, and how many real images would be called so."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data.images import ImageSet
from ..study.training_sets import TrainingSet
from .calibration import Calibration, Distances, apart, calibrate, calibrate_scores
from .estimate import Distance
from .neighbours import nearest_in_ranges
from .novelty import copied, copies, share_of
from .rows import Row, row_of_distance, row_of_hits, row_of_share


class Rules(NamedTuple):
    """The rules for copies that held-out images set.

    Attributes:
        ratio: on d1 / d2, by which samples are counted.
        near: on d1 alone, in pixels in [0, 1], by which training images are: a ratio finds the same sample a copy later
            where the image that it copies has near neighbours.
    """

    ratio: Calibration
    near: Calibration


class NoveltyMeter:
    """Finds copies among the samples of runs, and in their controls.

    The control set of a training set is as large and disjoint from it: the images that follow it in
    the fixed order (`TrainingSet.control`). Where fewer are left, it is smaller.
    """

    def __init__(self, settings: Mapping[str, Any], data: ImageSet) -> None:
        self.threshold = settings["f_mem_threshold"]
        self.rate = settings["false_positive_rate"]
        self.confidence = settings["confidence"]
        self.images = _flat(np.concatenate([data.train.images, data.test.images]))
        self.held_out_images = _flat(data.test.images)
        self.counts = len(data.train), len(data.test)
        self.data = data
        self.rules: dict[TrainingSet, Rules] = {}

    @functools.cached_property
    def apart(self) -> np.ndarray:
        """The held-out images by which the calibrated rule is set: one that is nearly a training image would be a copy.

        Found where a rule is set at all, as it takes a comparison of all held-out with all training images.
        """
        return apart(self.data.test.images, self.data.train.images)

    def neighbours(self, samples: pd.DataFrame, images: np.ndarray, training_set: TrainingSet) -> pd.DataFrame:
        """The distances of ``neighbours``, of samples of all runs with one training set, in one pass over the images.

        Args:
            samples: columns ``run_id``, ``step`` and ``index``; their index counts rows of ``images``.
            images: generated images, (n, H, W, C) uint8.
            training_set: that of the runs.
        """
        samples = samples[["run_id", "step", "index"]]
        own = np.arange(training_set.first, training_set.stop)
        control = np.array(training_set.control(*self.counts), dtype=np.int64)
        rows = np.concatenate([own, control])
        ranges = {"train": (0, len(own)), "control": (len(own), len(rows))}
        ranges = {reference: (start, stop) for reference, (start, stop) in ranges.items() if stop - start >= 2}
        found = nearest_in_ranges(_flat(images[samples.index]), self.images[rows], list(ranges.values()))
        return pd.concat(
            samples.assign(
                reference=reference,
                nearest=rows[neighbours.index[:, 0]],
                distance=neighbours.distance[:, 0] / 255,
                second_distance=neighbours.distance[:, 1] / 255,
            )
            for reference, neighbours in zip(ranges, found, strict=True)
        )

    def measure(self, neighbours: pd.DataFrame, training_set: TrainingSet) -> Iterator[Row]:
        """The share of copies among samples, from their rows of the table ``neighbours``, by reference and rule."""
        rules = self._rules(training_set)
        for reference, pairs in neighbours.groupby("reference", sort=False):
            yield self._row("f_mem", str(reference), copied(pairs, self.threshold))
            if rules:
                yield self._row("f_mem_calibrated", str(reference), copied(pairs, rules.ratio.threshold))
        yield from self._lean(neighbours, training_set)

    def _lean(self, neighbours: pd.DataFrame, training_set: TrainingSet) -> Iterator[Row]:
        """The share of samples that are nearer to the training set than to a control set of its size, if there is one.

        As `agreement.leans`, of one run: what a set's being more central does to it does not cancel.
        """
        of = neighbours.set_index(["reference", "index"])["distance"]
        own, other = (of[name] if name in of.index else of.head(0) for name in ("train", "control"))
        if len(training_set.control(*self.counts)) < training_set.size or len(own) != len(other):
            return
        nearer = (own < other).to_numpy(float) + (own == other).to_numpy(float) / 2
        found = share_of(float(nearer.sum()), len(nearer), self.confidence)
        yield row_of_share("lean", "pixels", "control", found)

    def held_out(self, training_set: TrainingSet) -> Iterator[Row]:
        """The rules' false-positive rates: held-out images in place of samples; and the thresholds that these set."""
        (found,) = nearest_in_ranges(self.held_out_images, self.images, [(training_set.first, training_set.stop)])
        yield self._row("f_mem_held_out", "train", copies(found.distance[:, 0], found.distance[:, 1], self.threshold))
        if rules := self._rules(training_set):
            yield row_of_share("f_mem_calibrated_held_out", "pixels", "control", rules.ratio.achieved)
            for metric, rule in (("copy_threshold", rules.ratio), ("near_threshold", rules.near)):
                threshold = Distance(rule.threshold, rule.threshold, rule.threshold)
                yield row_of_distance(metric, "pixels", "control", threshold, rule.achieved.count)

    def _rules(self, training_set: TrainingSet) -> Rules | None:
        """The rules that are set by held-out images against as many other training sets as there are of this size.

        These share no image with the training set or with one another. Where there is none, or there are too few images
        to set such a rate by, there are no rules.
        """
        if training_set not in self.rules:
            ranges = [(each.first, each.stop) for each in training_set.others(self.counts[0])]
            if not ranges or (len(self.apart) + 1) * self.rate < 1:
                return None
            found = nearest_in_ranges(self.held_out_images[self.apart], self.images, ranges)
            first, second = (np.stack([each.distance[:, place] for each in found]) for place in (0, 1))
            self.rules[training_set] = Rules(
                calibrate(Distances(first, second), self.rate, self.confidence),
                calibrate_scores(first / 255, self.rate, self.confidence),
            )
        return self.rules[training_set]

    def _row(self, metric: str, reference: str, copied: np.ndarray) -> Row:
        return row_of_hits(metric, "pixels", reference, copied, self.confidence)


def _flat(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) as rows (n, H·W·C)."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
