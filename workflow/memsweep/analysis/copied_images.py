"""Which training images are copied, from when on, and how typical they are.

A sample is a copy of its nearest training image where it lies nearer to it than a threshold that held-out images set
(``near_threshold`` of the table ``metrics``). The rules on d1 / d2 would not do here: they find the same sample a copy
later where the image that it copies has near neighbours, so that images in dense places would come late by the rule
alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..data.images import Split
from ..metrics.neighbours import nearest
from ..study.training_sets import TrainingSet

Array = NDArray[np.float64]

_BLOCK = 1024  # images whose pixels are held in float64 at a time


@dataclass(frozen=True)
class Copied:
    """When the images of a training set were copied, in the order of the set.

    Attributes:
        training_set: of the run.
        first_step: first sampled step at which some sample is a copy of the image, (N,); infinite where none ever is.
        samples: samples at the last sampled step that are copies of it, (N,).
        of: samples at that step.
    """

    training_set: TrainingSet
    first_step: Array
    samples: NDArray[np.int64]
    of: int

    @classmethod
    def found(cls, neighbours: pd.DataFrame, threshold: float, training_set: TrainingSet) -> Copied:
        """What a run's rows of the table ``neighbours`` say.

        The count is that of the last step, not the most of any: the most of several noisy counts is high by their
        noise, and what was copied once is mostly still copied at the end.

        Args:
            neighbours: of one run, at least one of the reference ``train``.
            threshold: on d1, below which a sample is a copy of its nearest image.
            training_set: of the run.
        """
        own = neighbours[neighbours["reference"] == "train"]
        place = own["nearest"].to_numpy() - training_set.first
        copied = own["distance"].to_numpy() < threshold
        step = own["step"].to_numpy()
        first_step = np.full(training_set.size, math.inf)
        np.minimum.at(first_step, place[copied], step[copied])
        last = step == step.max()
        return cls(
            training_set, first_step, np.bincount(place[copied & last], minlength=training_set.size), int(last.sum())
        )


class Typicality:
    """How typical training images are, in pixels in [0, 1].

    The mean of a class is over all training images that there are, whatever a run was trained on; the nearest other
    image is one of the run's own, as only these can stand in its way.
    """

    def __init__(self, train: Split) -> None:
        self.train = train
        labels = np.unique(train.labels)
        self.means = {label: train.images[train.labels == label].mean(axis=0, dtype=np.float64) for label in labels}
        self.known: dict[TrainingSet, pd.DataFrame] = {}

    def of(self, training_set: TrainingSet) -> pd.DataFrame:
        """``index``, ``label``, ``to_class_mean`` and ``to_nearest`` of the images of a training set."""
        if training_set not in self.known:
            rows = self.train.images[training_set.rows].reshape(training_set.size, -1)
            # The nearest is the image itself, or one that equals it
            to_nearest = nearest(rows, rows, 2).distance[:, 1] / 255
            self.known[training_set] = pd.DataFrame(
                {
                    "index": np.arange(training_set.first, training_set.stop),
                    "label": self.train.labels[training_set.rows],
                    "to_class_mean": self._to_class_mean(training_set),
                    "to_nearest": to_nearest,
                }
            )
        return self.known[training_set]

    def _to_class_mean(self, training_set: TrainingSet) -> Array:
        parts = []
        for start in range(training_set.first, training_set.stop, _BLOCK):
            rows = slice(start, min(start + _BLOCK, training_set.stop))
            means = np.stack([self.means[label] for label in self.train.labels[rows]])
            difference = (self.train.images[rows] - means).reshape(len(means), -1)
            parts.append(np.linalg.norm(difference, axis=1) / 255)
        return np.concatenate(parts)


def copied_images(runs: pd.DataFrame, found: Mapping[str, Copied], train: Split) -> Iterator[pd.DataFrame]:
    """The rows of ``copied_images`` of each run, in the order of the table ``runs``.

    Args:
        runs: the study's.
        found: by run, of those that have a threshold and samples.
        train: all training images that there are.
    """
    typicality = Typicality(train)
    for run_id in runs["run_id"]:
        if run_id in found:
            copied = found[run_id]
            yield typicality.of(copied.training_set).assign(
                run_id=run_id,
                first_step=pd.Series(copied.first_step).replace(math.inf, np.nan).astype("Int64"),
                samples=copied.samples,
                share=copied.samples / copied.of,
            )
