"""The stage ``measure``: what the samples of a pack's runs say about novelty and fidelity."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..base.errors import UserError
from ..data.images import ImageSet, decode, read_images
from ..study.training_sets import TrainingSet
from ..tables.parquet import check_runs, image_shape, metadata_of, read_arrow, read_table, write_table
from .calibration import Calibration, Distances, apart, calibrate
from .features import Space, features_of, opened
from .fidelity import DISTANCES, Distance, Metric, SlicedWasserstein
from .floors import HALVES, PEAK_DISTANCE, Floor, draws_like, floor_of, halves
from .neighbours import nearest_in_ranges
from .novelty import Share, copied, copies, share
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
    fidelity = FidelityMeter(settings, references, data)
    similar_to = distinct if "sscd" in spaces else []
    similarity = {chosen: SimilarityMeter(settings, references["sscd"], chosen) for chosen in similar_to}
    held_out = {chosen: list(novelty.held_out(chosen)) for chosen in distinct}
    for chosen, meter in similarity.items():
        held_out[chosen].append(meter.held_out())
    set_of_sample = steps["run_id"].map(sets)
    neighbours = pd.concat([novelty.neighbours(steps[set_of_sample == each], generated, each) for each in distinct])
    pairs = neighbours.groupby(["run_id", "step"])

    rows: list[Row] = []
    with opened(spaces) as maps:
        for run_id, chosen in sets.items():
            own = steps[steps["run_id"] == run_id]
            of_run = [*held_out[chosen], *fidelity.floors(own[own["step"] == own["step"].min()], chosen)]
            rows += [{"run_id": run_id, "step": None, **row} for row in of_run]
            for step, group in own.groupby("step"):
                placed = {name: to_features(generated[group.index]) for name, to_features in maps.items()}
                distances = fidelity.measure(placed, _labels(group), chosen)
                metrics = [*novelty.measure(pairs.get_group((run_id, step)), chosen), *distances]
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
    return runs, samples.select(["run_id", "step", "index", "label"]).to_pandas(), generated


def _labels(samples: pd.DataFrame) -> np.ndarray | None:
    """The labels of some samples of one run; None where its model knows none."""
    return None if samples["label"].isna().any() else samples["label"].to_numpy(np.int64)


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
        self.calibrations: dict[TrainingSet, Calibration] = {}

    @functools.cached_property
    def apart(self) -> np.ndarray:
        """The held-out images by which the calibrated rule is set: one that is nearly a training image would be a copy.

        Found where a rule is set at all, as it takes a comparison of all held-out with all training images.
        """
        return apart(self.data.test.images, self.data.train.images)

    def neighbours(self, samples: pd.DataFrame, images: np.ndarray, training_set: TrainingSet) -> pd.DataFrame:
        """The table ``neighbours`` of the samples of all runs with one training set, in one pass over the images.

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
        calibration = self._calibration(training_set)
        for reference, pairs in neighbours.groupby("reference", sort=False):
            yield self._row("f_mem", str(reference), copied(pairs, self.threshold))
            if calibration:
                yield self._row("f_mem_calibrated", str(reference), copied(pairs, calibration.threshold))

    def held_out(self, training_set: TrainingSet) -> Iterator[Row]:
        """The rules' false-positive rates: held-out images in place of samples; and the calibrated threshold."""
        (found,) = nearest_in_ranges(self.held_out_images, self.images, [(training_set.first, training_set.stop)])
        yield self._row("f_mem_held_out", "train", copies(found.distance[:, 0], found.distance[:, 1], self.threshold))
        if calibration := self._calibration(training_set):
            yield _share_of("f_mem_calibrated_held_out", "pixels", "control", calibration.achieved)
            threshold = {"value": calibration.threshold, "ci_low": calibration.threshold}
            ends = {"ci_high": calibration.threshold, "generated": calibration.achieved.count}
            yield {"metric": "copy_threshold", "space": "pixels", "reference": "control", **threshold, **ends}

    def _calibration(self, training_set: TrainingSet) -> Calibration | None:
        """The rule that is set by held-out images against as many other training sets as there are of this size.

        These share no image with the training set or with one another. Where there is none, or there are too few images
        to set such a rate by, there is no rule.
        """
        if training_set not in self.calibrations:
            ranges = [(each.first, each.stop) for each in training_set.others(self.counts[0])]
            if not ranges or (len(self.apart) + 1) * self.rate < 1:
                return None
            found = nearest_in_ranges(self.held_out_images[self.apart], self.images, ranges)
            first, second = (np.stack([each.distance[:, place] for each in found]) for place in (0, 1))
            self.calibrations[training_set] = calibrate(Distances(first, second), self.rate, self.confidence)
        return self.calibrations[training_set]

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
    return _share_of(metric, space, reference, share(copied, confidence))


def _share_of(metric: str, space: str, reference: str, found: Share) -> Row:
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
        self.references = references
        self.labels = {"train": data.train.labels, "test": data.test.labels}
        self._distances: dict[tuple[str, TrainingSet | None], dict[str, Metric]] = {}
        self._floors: dict[tuple[TrainingSet, bytes | int], dict[tuple[str, str, str], Floor]] = {}
        self._half_floors: dict[tuple[str, TrainingSet, bytes | int], Floor | None] = {}

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
        floors = self._floors_of(labels, len(next(iter(samples.values()))), training_set)
        for space, generated in samples.items():
            for reference, chosen in (("train", training_set), ("test", None)):
                for name, metric in self._prepared(space, chosen).items():
                    if isinstance(metric, SlicedWasserstein):
                        square = metric.squared(generated, labels)
                        distance = metric.root(square)
                    else:  # which are squares themselves
                        square = distance = metric(generated, labels)
                    yield self._row(name, space, reference, distance, len(generated))
                    if floor := floors.get((space, reference, name)):
                        corrected = floor.corrected(square, self.confidence)
                        yield self._row(f"{name}_corrected", space, reference, corrected, len(generated))
            yield from self._halves(space, generated, labels, training_set)

    def _halves(
        self, space: str, generated: np.ndarray, labels: np.ndarray | None, training_set: TrainingSet
    ) -> Iterator[Row]:
        """The corrected distance of either half of the samples: where it is least on one is told by the other."""
        metric = self._prepared(space, None).get(PEAK_DISTANCE)
        if not isinstance(metric, SlicedWasserstein):
            return
        for half, rows in zip(HALVES, halves(labels, len(generated)), strict=True):
            own = None if labels is None else labels[rows]
            if len(rows) > 1 and (floor := self._floor_of_half(space, own, len(rows), training_set)):
                corrected = floor.corrected(metric.squared(generated[rows], own), self.confidence)
                yield self._row(f"{PEAK_DISTANCE}_corrected_{half}", space, "test", corrected, len(rows))

    def _floor_of_half(
        self, space: str, labels: np.ndarray | None, count: int, training_set: TrainingSet
    ) -> Floor | None:
        key = space, training_set, count if labels is None else np.sort(labels).tobytes()
        if key not in self._half_floors:
            unseen = self._unseen(training_set)
            draws = draws_like(labels, count, self.labels["train"][unseen], self.settings["floor_draws"])
            real, metric = self.references[space]["train"][unseen], self._prepared(space, None)[PEAK_DISTANCE]
            self._half_floors[key] = floor_of(metric, real, draws) if draws else None
        return self._half_floors[key]

    def _unseen(self, training_set: TrainingSet) -> np.ndarray:
        """Places of the images that could have been trained on and were not."""
        return np.delete(np.arange(len(self.labels["train"])), training_set.rows)

    def floors(self, samples: pd.DataFrame, training_set: TrainingSet) -> Iterator[Row]:
        """The floor of each distance of a run, of which these are the samples at one step, if it has any."""
        count = len(samples)
        found = self._floors_of(_labels(samples), count, training_set) if count else {}
        for (space, reference, name), floor in found.items():
            yield self._row(f"{name}_floor", space, reference, floor.distance(self.confidence), count)

    def _floors_of(
        self, labels: np.ndarray | None, count: int, training_set: TrainingSet
    ) -> dict[tuple[str, str, str], Floor]:
        """By space, reference and distance; none where there are too few real images."""
        key = training_set, count if labels is None else np.sort(labels).tobytes()
        if key not in self._floors:
            self._floors[key] = dict(self._found_floors(labels, count, training_set))
        return self._floors[key]

    def _found_floors(
        self, labels: np.ndarray | None, count: int, training_set: TrainingSet
    ) -> Iterator[tuple[tuple[str, str, str], Floor]]:
        unseen = self._unseen(training_set)
        held_out = len(self.labels["train"]) + np.arange(len(self.labels["test"]))
        everything = np.concatenate([self.labels["train"], self.labels["test"]])
        for reference, chosen, pool in (
            ("train", training_set, np.concatenate([unseen, held_out])),
            ("test", None, unseen),
        ):
            draws = draws_like(labels, count, everything[pool], self.settings["floor_draws"])
            if not draws:
                continue
            for space, features in self.references.items():
                real = np.concatenate([features["train"], features["test"]])[pool]
                for name, metric in self._prepared(space, chosen).items():
                    yield (space, reference, name), floor_of(metric, real, draws)

    def _prepared(self, space: str, chosen: TrainingSet | None) -> dict[str, Metric]:
        """The distances asked for, prepared once a reference: a training set, or without one the held-out images."""
        if (space, chosen) not in self._distances:
            features = self.references[space]
            images = features["train"][chosen.rows] if chosen else features["test"]
            prepared = {name: DISTANCES[name](images, self.settings) for name in self.settings["distances"]}
            self._distances[space, chosen] = prepared
        return self._distances[space, chosen]

    @staticmethod
    def _row(metric: str, space: str, reference: str, distance: Distance, generated: int) -> Row:
        return {"metric": metric, "space": space, "reference": reference, **asdict(distance), "generated": generated}


def _flat(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) as rows (n, H·W·C)."""
    return images.reshape(len(images), math.prod(images.shape[1:]))
