"""The stage ``measure``: what the samples of a pack's runs say about novelty and fidelity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..base.errors import UserError
from ..data.images import decode, read_images
from ..study.training_sets import TrainingSet
from ..tables.frames import frame_of, to_frame
from ..tables.parquet import check_runs, image_shape, metadata_of, read_arrow, read_table, write_table
from .battery_meter import BatteryMeter
from .empirical_meter import EmpiricalMeter
from .features import Space, features_of, opened
from .fidelity_meter import FidelityMeter
from .novelty_meter import NoveltyMeter
from .rows import Row
from .similarity_meter import SimilarityMeter

# What tells samples apart
KEYS = ["run_id", "step", "index"]


def measure_pack(
    settings: Mapping[str, Any],
    images: Path,
    train: Path,
    features: Path,
    classifier: Path | None,
    output: Path,
    threads: int = 1,
    empirical: Sequence[Path] = (),
) -> None:
    """Write the metrics of a pack's runs at each step, and their samples' nearest neighbours.

    Args:
        settings: the config's ``metrics`` and ``confidence``.
        images: the prepared image table.
        train: folder of the pack's ``runs`` and ``samples``.
        features: folder with the features of the images in each space.
        classifier: weights of the study's classifier, which only the space of that name needs.
        output: folder that receives ``metrics`` and ``neighbours``.
        threads: CPU cores to take; every number is the same with any.
        empirical: tables ``empirical_samples`` of the runs' train sizes, where there are any.
    """
    torch.set_num_threads(threads)
    data = read_images(images)
    runs, steps, generated = read_pack(train, data.data_hash)
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
    battery = BatteryMeter(settings, references, data)
    memory = EmpiricalMeter(empirical, runs, data.data_hash, settings["confidence"])
    similar_to = distinct if "sscd" in spaces else []
    similarity = {chosen: SimilarityMeter(settings, references["sscd"], chosen) for chosen in similar_to}
    held_out = {chosen: list(novelty.held_out(chosen)) for chosen in distinct}
    for chosen, meter in similarity.items():
        held_out[chosen].append(meter.held_out())
    set_of_sample = steps["run_id"].map(sets)
    neighbours = pd.concat([novelty.neighbours(steps[set_of_sample == each], generated, each) for each in distinct])
    for each in distinct:
        battery.look_up(neighbours[neighbours["run_id"].map(sets) == each], each)
    pairs = neighbours.groupby(["run_id", "step"])

    rows: list[Row] = []
    similar: list[pd.DataFrame] = []
    by = [*KEYS, "reference"]
    # Meters share nothing but what they read, so that any number of threads finds the same numbers in the same order
    with opened(spaces) as maps, ThreadPoolExecutor(threads) as pool:
        for run_id, chosen in sets.items():
            own = steps[steps["run_id"] == run_id]
            first = own[own["step"] == own["step"].min()]
            floors = fidelity.floors(_labels(first), len(first), chosen)
            of_run = [held_out[chosen], floors, battery.held_out(len(first), chosen)]
            rows += [{"run_id": run_id, "step": None, **row} for row in _together(pool, of_run)]
            for step, group in own.groupby("step"):
                torch.set_num_threads(1)  # whose features are the same on any machine
                placed = {name: to_features(generated[group.index]) for name, to_features in maps.items()}
                torch.set_num_threads(threads)
                near = pairs.get_group((run_id, step))
                of_step = [
                    novelty.measure(near, chosen),
                    fidelity.measure(placed, _labels(group), chosen),
                    battery.measure(placed, near, chosen),
                    memory.measure(run_id, group, generated[group.index]),
                ]
                metrics = _together(pool, of_step)
                if chosen in similarity:
                    similarities = similarity[chosen].similarities(placed["sscd"])
                    metrics += similarity[chosen].measure(similarities)
                    of_samples = group[KEYS]
                    similar += [
                        of_samples.assign(reference=name, similarity=similarities[name]) for name in similarities
                    ]
                rows += [{"run_id": run_id, "step": step, **row} for row in metrics]
    table = frame_of(rows).astype({"step": "Int64"})
    write_table(output / "metrics.parquet", "metrics", table)
    found = pd.concat(similar) if similar else neighbours[by].head(0).assign(similarity=math.nan)
    write_table(output / "neighbours.parquet", "neighbours", neighbours.merge(found, on=by, how="left"))


def _together(pool: Executor, meters: Iterable[Iterable[Row]]) -> list[Row]:
    """The rows of several meters, each taken in a thread of its own."""
    return list(chain.from_iterable(pool.map(list, meters)))


def read_pack(train: Path, data_hash: str) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
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
    return runs, to_frame(samples.select(["run_id", "step", "index", "label"])), generated


def _labels(samples: pd.DataFrame) -> np.ndarray | None:
    """The labels of some samples of one run; None where its model knows none."""
    return None if samples["label"].isna().any() else samples["label"].to_numpy(np.int64)
