"""The stage ``measure``: what the samples of a pack's runs say about novelty and fidelity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..base.errors import UserError
from ..data.images import ImageSet, decode, read_images
from ..study.training_sets import TrainingSet
from ..tables.parquet import check_runs, image_shape, metadata_of, read_arrow, read_table, write_table
from .features import Space, features_of, opened
from .fidelity import DISTANCES, Distance
from .neighbours import Neighbours, nearest_in_ranges
from .novelty import copied, copies, share
from .similarity import cosine_similarity

Row = dict[str, Any]


def measure_pack(
    settings: Mapping[str, Any],
    images: Path,
    train: Path,
    features: Path,
    classifier: Path | None,
    output: Path,
) -> None:
    """Write the metrics of a pack's runs at each step, and their samples' nearest neighbours.

    Args:
        settings: the config's ``metrics`` and ``confidence``.
        images: the prepared image table.
        train: folder of the pack's ``runs`` and ``samples``.
        features: folder with the features of the images in each space.
        classifier: weights of the study's classifier, which only the space of that name needs.
        output: folder that receives ``metrics`` and ``neighbours``.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    runs, steps, generated = _read_pack(train, data.data_hash)
    spaces = {name: Space.find(name, classifier, settings.get("weights")) for name in settings["spaces"]}
    references = {
        name: features_of(space, features / f"{name}.parquet", data.data_hash) for name, space in spaces.items()
    }
    sets = {
        run_id: TrainingSet(int(size), int(subset))
        for run_id, size, subset in zip(runs["run_id"], runs["train_size"], runs["subset"], strict=True)
    }
    distinct = list(dict.fromkeys(sets.values()))
    novelty = NoveltyMeter(settings, data)
    fidelity = FidelityMeter(settings, references)
    similar_to = distinct if "sscd" in spaces else []
    similarity = {chosen: SimilarityMeter(settings, references["sscd"], chosen) for chosen in similar_to}
    held_out = {chosen: [row] for chosen, row in novelty.held_out(distinct).items()}
    for chosen, meter in similarity.items():
        held_out[chosen].append(meter.held_out())
    set_of_sample = steps["run_id"].map(sets)
    neighbours = pd.concat([novelty.neighbours(steps[set_of_sample == each], generated, each) for each in distinct])
    pairs = neighbours.groupby(["run_id", "step"])

    rows: list[Row] = []
    with opened(spaces) as maps:
        for run_id, chosen in sets.items():
            rows += [{"run_id": run_id, "step": None, **row} for row in held_out[chosen]]
            for step, group in steps[steps["run_id"] == run_id].groupby("step"):
                placed = {name: to_features(generated[group.index]) for name, to_features in maps.items()}
                metrics = [*novelty.measure(pairs.get_group((run_id, step))), *fidelity.measure(placed, chosen)]
                if chosen in similarity:
                    metrics += similarity[chosen].measure(placed["sscd"])
                rows += [{"run_id": run_id, "step": step, **row} for row in metrics]
    table = pd.DataFrame(rows).astype({"step": "Int64"})
    write_table(output / "metrics.parquet", "metrics", table)
    write_table(output / "neighbours.parquet", "neighbours", neighbours)


def _read_pack(train: Path, data_hash: str) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """A pack's runs; run, step and index of each of their samples; and these, (n, H, W, C) uint8.

    Raises:
        UserError: the runs were trained on other images, or the samples are those of others.
    """
    runs = read_table(train / "runs.parquet", "runs")
    for other in set(runs["data_hash"]) - {data_hash}:
        raise UserError(
            f"{train / 'runs.parquet'}: runs that were trained on images with content hash {other}, where those of the "
            f"study have {data_hash}; delete it to train them again"
        )
    samples = read_arrow(train / "samples.parquet", "samples")
    check_runs(train / "samples.parquet", samples, runs["run_id"], train / "runs.parquet")
    generated = decode(samples["image"], image_shape(metadata_of(samples)))
    return runs, samples.select(["run_id", "step", "index"]).to_pandas(), generated


class NoveltyMeter:
    """Finds copies among the samples of runs, and in their controls.

    The control set of a training set is as large and disjoint from it: the images that follow it in
    the fixed order (`TrainingSet.control`). Where fewer are left, it is smaller.
    """

    def __init__(self, settings: Mapping[str, Any], data: ImageSet) -> None:
        self.threshold = settings["f_mem_threshold"]
        self.confidence = settings["confidence"]
        self.images = _flat(np.concatenate([data.train.images, data.test.images]))
        self.held_out_images = _flat(data.test.images)
        self.counts = len(data.train), len(data.test)

    def neighbours(self, samples: pd.DataFrame, images: np.ndarray, training_set: TrainingSet) -> pd.DataFrame:
        """The table ``neighbours`` of the samples of all runs with one training set, in one pass over the images.

        Args:
            samples: columns ``run_id``, ``step`` and ``index``; their index counts rows of ``images``.
            images: generated images, (n, H, W, C) uint8.
            training_set: that of the runs.
        """
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

    def measure(self, neighbours: pd.DataFrame) -> Iterator[Row]:
        """The share of copies among samples, from their rows of the table ``neighbours``, by reference."""
        for reference, pairs in neighbours.groupby("reference", sort=False):
            yield self._row("f_mem", str(reference), copied(pairs, self.threshold))

    def held_out(self, training_sets: Sequence[TrainingSet]) -> dict[TrainingSet, Row]:
        """The rule's false-positive rate by training set: held-out images in place of samples."""
        ranges = [(each.first, each.stop) for each in training_sets]
        found = nearest_in_ranges(self.held_out_images, self.images, ranges)
        return {
            each: self._row("f_mem_held_out", "train", self._copies(neighbours))
            for each, neighbours in zip(training_sets, found, strict=True)
        }

    def _copies(self, found: Neighbours) -> np.ndarray:
        return copies(found.distance[:, 0], found.distance[:, 1], self.threshold)

    def _row(self, metric: str, reference: str, copied: np.ndarray) -> Row:
        return _share_row(metric, "pixels", reference, copied, self.confidence)


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

    def measure(self, samples: np.ndarray) -> list[Row]:
        """The share of copies among samples, given as SSCD features (n, d), against each reference."""
        return [self._row("sscd_score", reference, samples) for reference in self.references]

    def held_out(self) -> Row:
        """The rule's false-positive rate: held-out images in place of samples."""
        return self._row("sscd_score_held_out", "train", self.held_out_images)

    def _row(self, metric: str, reference: str, samples: np.ndarray) -> Row:
        similarity = cosine_similarity(samples, self.references[reference])
        return _share_row(metric, "sscd", reference, similarity > self.threshold, self.confidence)


def _share_row(metric: str, space: str, reference: str, copied: np.ndarray, confidence: float) -> Row:
    found = share(copied, confidence)
    return {
        "metric": metric,
        "space": space,
        "reference": reference,
        "value": found.value,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "generated": found.count,
    }


class FidelityMeter:
    """Measures how far samples are from the training set and from the held-out images, in each space."""

    def __init__(self, settings: Mapping[str, Any], references: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self.settings = settings
        self.references = references
        self.prepared: dict[tuple[str, TrainingSet | None], dict[str, Callable[[np.ndarray], Distance]]] = {}

    def measure(self, samples: Mapping[str, np.ndarray], training_set: TrainingSet) -> Iterator[Row]:
        """Distances of samples, given as features (n, d) by space, in each space and against each split."""
        for space, generated in samples.items():
            for reference, chosen in (("train", training_set), ("test", None)):
                for metric, distance_from in self._distances(space, chosen).items():
                    distance = distance_from(generated)
                    yield {
                        "metric": metric,
                        "space": space,
                        "reference": reference,
                        "value": distance.value,
                        "ci_low": distance.ci_low,
                        "ci_high": distance.ci_high,
                        "generated": len(generated),
                    }

    def _distances(self, space: str, chosen: TrainingSet | None) -> dict[str, Callable[[np.ndarray], Distance]]:
        """The distances asked for, prepared once a reference: a training set, or without one the held-out images."""
        if (space, chosen) not in self.prepared:
            features = self.references[space]
            images = features["train"][chosen.rows] if chosen else features["test"]
            prepared = {name: DISTANCES[name](images, self.settings) for name in self.settings["distances"]}
            self.prepared[space, chosen] = prepared
        return self.prepared[space, chosen]


def _flat(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) as rows (n, H·W·C)."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
