"""The stage ``measure``: what the samples of a pack's runs say about novelty and fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .features import Space, features_of, pixels
from .fidelity import DISTANCES, Distance
from .images import ImageSet, decode, read_images
from .neighbours import Neighbours, cosine_similarity, nearest
from .novelty import copies, share
from .tables import image_shape, read_arrow, read_table, write_table

Row = dict[str, Any]


def measure_pack(
    settings: Mapping[str, Any],
    images: Path,
    train: Path,
    features: Path,
    classifier: Path,
    output: Path,
) -> None:
    """Write the metrics of a pack's runs at each step, and their samples' nearest neighbours.

    Args:
        settings: the config's ``metrics`` and ``confidence``.
        images: the prepared image table.
        train: folder of the pack's ``runs`` and ``samples``.
        features: folder with the features of the images in each space.
        classifier: weights of the study's classifier.
        output: folder that receives ``metrics`` and ``neighbours``.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    runs = read_table(train / "runs.parquet", "runs")
    samples = read_arrow(train / "samples.parquet", "samples")
    shape = image_shape({key.decode(): value.decode() for key, value in samples.schema.metadata.items()})
    generated = decode(samples["image"], shape)
    steps = samples.select(["run_id", "step", "index"]).to_pandas()
    spaces = {name: Space.find(name, classifier, settings.get("weights")) for name in settings["spaces"]}
    references = {name: features_of(space, features / f"{name}.parquet") for name, space in spaces.items()}
    to_features = {name: space.open() for name, space in spaces.items()}
    fidelity = FidelityMeter(settings, references)

    rows: list[Row] = []
    found: list[pd.DataFrame] = []
    for run_id, train_size in zip(runs["run_id"], runs["train_size"], strict=True):
        novelty = NoveltyMeter(settings, data, train_size)
        rows += [{"run_id": run_id, "step": None, **row} for row in novelty.held_out()]
        similarity = SimilarityMeter(settings, references["sscd"], train_size) if "sscd" in spaces else None
        if similarity:
            rows += [{"run_id": run_id, "step": None, **row} for row in similarity.held_out()]
        for step, group in steps[steps["run_id"] == run_id].groupby("step"):
            chosen = generated[group.index]
            metrics, neighbours = novelty.measure(chosen)
            rows += [{"run_id": run_id, "step": step, **row} for row in metrics]
            placed = {name: to_space(chosen) for name, to_space in to_features.items()}
            rows += [{"run_id": run_id, "step": step, **row} for row in fidelity.measure(placed, train_size)]
            if similarity:
                rows += [{"run_id": run_id, "step": step, **row} for row in similarity.measure(placed["sscd"])]
            found.append(neighbours.assign(run_id=run_id, step=step))
    table = pd.DataFrame(rows).astype({"step": "Int64"})
    write_table(output / "metrics.parquet", "metrics", table)
    write_table(output / "neighbours.parquet", "neighbours", pd.concat(found) if found else _no_neighbours())


class NoveltyMeter:
    """Finds copies among the samples of runs with one training set, and in its controls.

    The control set is as large as the training set and disjoint from it: the images that
    follow it in the fixed order, the held-out ones last. Where fewer are left, it is smaller.
    """

    def __init__(self, settings: Mapping[str, Any], data: ImageSet, train_size: int) -> None:
        self.threshold = settings["f_mem_threshold"]
        self.confidence = settings["confidence"]
        everything = pixels(np.concatenate([data.train.images, data.test.images]))
        self.references = {"train": everything[:train_size], "control": everything[train_size : 2 * train_size]}
        self.first_row = {"train": 0, "control": train_size}
        self.held_out_images = pixels(data.test.images)

    def measure(self, samples: np.ndarray) -> tuple[list[Row], pd.DataFrame]:
        """The share of copies among samples (n, H, W, C), and each sample's two neighbours."""
        rows, tables = [], []
        for reference, references in self.references.items():
            if len(references) < 2:
                continue
            neighbours = nearest(pixels(samples), references)
            rows.append(self._row("f_mem", reference, neighbours))
            tables.append(
                pd.DataFrame(
                    {
                        "index": np.arange(len(samples)),
                        "reference": reference,
                        "nearest": neighbours.index[:, 0] + self.first_row[reference],
                        "distance": neighbours.distance[:, 0],
                        "second_distance": neighbours.distance[:, 1],
                    }
                )
            )
        return rows, pd.concat(tables)

    def held_out(self) -> list[Row]:
        """The rule's false-positive rate: held-out images in place of samples."""
        neighbours = nearest(self.held_out_images, self.references["train"])
        return [self._row("f_mem_held_out", "train", neighbours)]

    def _row(self, metric: str, reference: str, neighbours: Neighbours) -> Row:
        first, second = neighbours.distance[:, 0], neighbours.distance[:, 1]
        found = share(copies(first, second, self.threshold), self.confidence)
        return {
            "metric": metric,
            "space": "pixels",
            "reference": reference,
            "value": found.value,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "generated": found.count,
        }


class SimilarityMeter:
    """Finds copies by SSCD (Pizzi et al. 2022): samples whose cosine similarity to some image exceeds a threshold.

    The score of Marion & Wu 2026 against the training set; against the held-out images and against
    a control set, chosen as in `NoveltyMeter`, it says how much of the score is no copying.
    """

    def __init__(self, settings: Mapping[str, Any], features: Mapping[str, np.ndarray], train_size: int) -> None:
        self.threshold = settings["sscd_threshold"]
        self.confidence = settings["confidence"]
        self.held_out_images = features["test"]
        following = np.concatenate([features["train"][train_size : 2 * train_size], features["test"]])
        self.references = {
            "train": features["train"][:train_size],
            "test": features["test"],
            "control": following[:train_size],
        }

    def measure(self, samples: np.ndarray) -> list[Row]:
        """The share of copies among samples, given as SSCD features (n, d), against each reference."""
        return [self._row("sscd_score", reference, samples) for reference in self.references]

    def held_out(self) -> list[Row]:
        """The rule's false-positive rate: held-out images in place of samples."""
        return [self._row("sscd_score_held_out", "train", self.held_out_images)]

    def _row(self, metric: str, reference: str, samples: np.ndarray) -> Row:
        similarity = cosine_similarity(samples, self.references[reference])
        found = share(similarity > self.threshold, self.confidence)
        return {
            "metric": metric,
            "space": "sscd",
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
        self.prepared: dict[tuple[str, str, int], dict[str, Callable[[np.ndarray], Distance]]] = {}

    def measure(self, samples: Mapping[str, np.ndarray], train_size: int) -> Iterator[Row]:
        """Distances of samples, given as features (n, d) by space, in each space and against each split."""
        for space, generated in samples.items():
            for reference in ("train", "test"):
                for metric, distance_from in self._distances(space, reference, train_size).items():
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

    def _distances(self, space: str, reference: str, train_size: int) -> dict[str, Callable[[np.ndarray], Distance]]:
        """The distances asked for, prepared once a reference: the held-out images, or a training set."""
        images = self.references[space][reference]
        images = images[:train_size] if reference == "train" else images
        key = (space, reference, len(images))
        if key not in self.prepared:
            self.prepared[key] = {name: DISTANCES[name](images, self.settings) for name in self.settings["distances"]}
        return self.prepared[key]


def _no_neighbours() -> pd.DataFrame:
    columns = ["run_id", "step", "index", "reference", "nearest", "distance", "second_distance"]
    return pd.DataFrame(columns=columns)
