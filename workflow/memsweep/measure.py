"""The stage ``measure``: what the samples of a pack's runs say about novelty and fidelity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .features import FeatureSpace, open_space, read_features
from .fidelity import directions, sliced_wasserstein
from .images import ImageSet, decode, read_images
from .neighbours import nearest_in_ranges
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
    fidelity = FidelityMeter(settings, features, classifier)

    novelty = NoveltyMeter(settings, data)
    train_sizes = [int(size) for size in runs["train_size"].unique()]
    held_out = novelty.held_out(train_sizes)
    size_of_sample = steps["run_id"].map(runs.set_index("run_id")["train_size"])
    neighbours = pd.concat([novelty.neighbours(steps[size_of_sample == size], generated, size) for size in train_sizes])
    pairs = neighbours.groupby(["run_id", "step"])

    rows: list[Row] = []
    for run_id, train_size in zip(runs["run_id"], runs["train_size"], strict=True):
        rows.append({"run_id": run_id, "step": None, **held_out[train_size]})
        for step, group in steps[steps["run_id"] == run_id].groupby("step"):
            metrics = [
                *novelty.measure(pairs.get_group((run_id, step))),
                *fidelity.measure(generated[group.index], train_size),
            ]
            rows += [{"run_id": run_id, "step": step, **row} for row in metrics]
    table = pd.DataFrame(rows).astype({"step": "Int64"})
    write_table(output / "metrics.parquet", "metrics", table)
    write_table(output / "neighbours.parquet", "neighbours", neighbours)


class NoveltyMeter:
    """Finds copies among the samples of runs, and in their controls.

    The control set of N training images is as large and disjoint from them: the images that
    follow them in the fixed order, the held-out ones last. Where fewer are left, it is smaller.
    """

    def __init__(self, settings: Mapping[str, Any], data: ImageSet) -> None:
        self.threshold = settings["f_mem_threshold"]
        self.confidence = settings["confidence"]
        self.images = _flat(np.concatenate([data.train.images, data.test.images]))
        self.held_out_images = _flat(data.test.images)

    def neighbours(self, samples: pd.DataFrame, images: np.ndarray, train_size: int) -> pd.DataFrame:
        """The table ``neighbours`` of the samples of all runs with one training set, in one pass over the images.

        Args:
            samples: columns ``run_id``, ``step`` and ``index``; their index counts rows of ``images``.
            images: generated images, (n, H, W, C) uint8.
            train_size: N.
        """
        ranges = {"train": (0, train_size), "control": (train_size, min(2 * train_size, len(self.images)))}
        ranges = {reference: (start, stop) for reference, (start, stop) in ranges.items() if stop - start >= 2}
        found = nearest_in_ranges(_flat(images[samples.index]), self.images, list(ranges.values()))
        return pd.concat(
            samples.assign(
                reference=reference,
                nearest=neighbours.index[:, 0],
                distance=neighbours.distance[:, 0] / 255,
                second_distance=neighbours.distance[:, 1] / 255,
            )
            for reference, neighbours in zip(ranges, found, strict=True)
        )

    def measure(self, neighbours: pd.DataFrame) -> Iterator[Row]:
        """The share of copies among samples, from their rows of the table ``neighbours``, by reference."""
        for reference, pairs in neighbours.groupby("reference", sort=False):
            yield self._row("f_mem", str(reference), pairs["distance"].to_numpy(), pairs["second_distance"].to_numpy())

    def held_out(self, train_sizes: Sequence[int]) -> dict[int, Row]:
        """The rule's false-positive rate by training-set size: held-out images in place of samples."""
        found = nearest_in_ranges(self.held_out_images, self.images, [(0, size) for size in train_sizes])
        return {
            size: self._row("f_mem_held_out", "train", *neighbours.distance.T)
            for size, neighbours in zip(train_sizes, found, strict=True)
        }

    def _row(self, metric: str, reference: str, first: np.ndarray, second: np.ndarray) -> Row:
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


class FidelityMeter:
    """Measures how far samples are from the training set and from the held-out images, in each space."""

    def __init__(self, settings: Mapping[str, Any], features: Path, classifier: Path) -> None:
        self.settings = settings
        self.spaces: dict[str, FeatureSpace] = {name: open_space(name, classifier) for name in settings["spaces"]}
        self.references = {name: read_features(features / f"{name}.parquet") for name in self.spaces}

    def measure(self, samples: np.ndarray, train_size: int) -> Iterator[Row]:
        """Sliced Wasserstein distances of samples (n, H, W, C), in each space and against each split."""
        for space, to_features in self.spaces.items():
            generated = to_features(samples)
            projections = directions(generated.shape[1], self.settings["projections"])
            splits = self.references[space]
            for reference, images in (("train", splits["train"][:train_size]), ("test", splits["test"])):
                distance = sliced_wasserstein(
                    generated, images, projections, self.settings["bootstrap"], self.settings["confidence"]
                )
                yield {
                    "metric": "sliced_wasserstein",
                    "space": space,
                    "reference": reference,
                    "value": distance.value,
                    "ci_low": distance.ci_low,
                    "ci_high": distance.ci_high,
                    "generated": len(samples),
                }


def _flat(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) as rows (n, H·W·C)."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
