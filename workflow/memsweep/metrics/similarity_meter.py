"""Copies among the samples of a run by SSCD, a network that was trained to find copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..study.training_sets import TrainingSet
from .rows import Row, row_of_hits
from .similarity import cosine_similarity


class SimilarityMeter:
    """Finds copies by SSCD (Pizzi et al. 2022): samples whose cosine similarity to some image exceeds a threshold.

    The score of Marion & Wu 2026 against the training set; against the held-out images and against
    a control set, chosen as in `NoveltyMeter`, it says how much of the score is no copying.
    """

    def __init__(
        self, settings: Mapping[str, Any], features: Mapping[str, np.ndarray], training_set: TrainingSet
    ) -> None:
        self.threshold = settings["sscd_threshold"]
        self.confidence = settings["confidence"]
        self.held_out_images = features["test"]
        control = training_set.control(len(features["train"]), len(features["test"]))
        self.references = {
            "train": features["train"][training_set.rows],
            "test": features["test"],
            "control": np.concatenate([features["train"], features["test"]])[control],
        }

    def similarities(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Of each sample, given as SSCD features (n, d), the greatest to an image of each reference: (n,) each."""
        return {name: cosine_similarity(samples, images) for name, images in self.references.items()}

    def measure(self, similarities: Mapping[str, np.ndarray]) -> list[Row]:
        """The share of copies among samples against each reference, by their `similarities`."""
        return [self._row("sscd_score", reference, found) for reference, found in similarities.items()]

    def held_out(self) -> Row:
        """The rule's false-positive rate: held-out images in place of samples."""
        found = cosine_similarity(self.held_out_images, self.references["train"])
        return self._row("sscd_score_held_out", "train", found)

    def _row(self, metric: str, reference: str, similarity: np.ndarray) -> Row:
        return row_of_hits(metric, "sscd", reference, similarity > self.threshold, self.confidence)
