"""What each metric reads: its values on generators whose faults are known, beside those of a perfect sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..data.images import ImageSet, Split, read_images
from ..study.checked import FEWEST_OTHERS
from ..tables.parquet import write_table
from .battery import Samples, battery
from .calibration import RATE, Distances, copy_shares
from .constructed import GENERATORS, Generator
from .neighbours import Neighbours, nearest, nearest_in_ranges

# Sets of training images, the training set among them, against which a rule is calibrated
SETS = 8


def metric_check(
    data: ImageSet,
    train_sizes: Sequence[int],
    samples: Sequence[int],
    confidence: float = 0.95,
    generators: Sequence[Generator] = GENERATORS,
) -> pd.DataFrame:
    """Every metric of every constructed generator, in pixels.

    The training set is the first N training images; what generators draw from as others are the last half of those that
    follow, and rules are calibrated on the held-out images against sets of N of the first half.

    Args:
        data: a dataset.
        train_sizes: numbers N of training images, each at least 2.
        samples: numbers of generated images.
        confidence: level of intervals.
        generators: which.

    Returns:
        The table ``metric_check`` (`tables.contracts.comparison`).

    Raises:
        UserError: too few training images are left beside N for others.
    """
    rows: list[dict[str, Any]] = []
    for size in train_sizes:
        train, controls, others = parts(data, size)
        held_out = _distances(data.test.images, controls)
        first = Samples(_flat(data.test.images), held_out[0])
        control = Distances(*(np.stack([found.distance[:, place] for found in held_out]) / 255 for place in (0, 1)))
        for count in samples:
            for generator in generators:
                source = np.random.default_rng([size, count])
                drawn = _flat(generator.draw(train, others, count, source))
                found = Samples(drawn, nearest(drawn, _flat(train.images)))
                setting = {"generator": generator.name, "train_size": size, "samples": count, "space": "pixels"}
                rows += [
                    {**setting, **row} for row in _measured(found, _flat(train.images), first, control, confidence)
                ]
    return pd.DataFrame(rows)


def parts(data: ImageSet, size: int) -> tuple[Split, np.ndarray, Split]:
    """The training set, sets of its size to calibrate on, (sets, size, H, W, C), itself the first, and other images.

    Raises:
        UserError: there are too few.
    """
    left = len(data.train) - size
    if left < FEWEST_OTHERS:
        raise UserError(
            f"train_size: found {size} of {len(data.train)} training images; accepted is at most "
            f"{len(data.train) - FEWEST_OTHERS}, as constructed generators draw from the others"
        )
    others = min(left, max(FEWEST_OTHERS, left // 2))
    sets = min(SETS, (len(data.train) - others) // size)
    controls = data.train.images[: sets * size].reshape(sets, size, *data.shape)
    train = Split(data.train.images[:size], data.train.labels[:size])
    return train, controls, Split(data.train.images[-others:], data.train.labels[-others:])


def _distances(images: np.ndarray, sets: np.ndarray) -> list[Neighbours]:
    """The nearest of each set, in one pass."""
    size = sets.shape[1]
    ranges = [(place * size, (place + 1) * size) for place in range(len(sets))]
    return nearest_in_ranges(_flat(images), _flat(sets.reshape(-1, *sets.shape[2:])), ranges)


def _measured(
    found: Samples, train: np.ndarray, held_out: Samples, control: Distances, confidence: float
) -> Iterator[dict[str, Any]]:
    to = Distances(*(found.found.distance / 255).T)
    for row in copy_shares(to, control, RATE, confidence).to_dict("records"):
        yield {
            "metric": f"{row['rule']}_copies",
            "reference": "train",
            **{key: row[key] for key in ("value", "ci_low", "ci_high", "held_out_value")},
        }
    table = battery(found, train, held_out, confidence)
    shown = ["metric", "reference", "value", "ci_low", "ci_high", "held_out_value"]
    yield from ({str(name): value for name, value in row.items()} for row in table[shown].to_dict("records"))


def write_metric_check(settings: Mapping[str, Any], images: Path, output: Path) -> None:
    """Write the table ``metric_check`` of a prepared dataset.

    Args:
        settings: ``train_sizes``, ``samples`` and ``confidence``.
        images: the prepared image table.
        output: receives the table.

    Raises:
        UserError: as `metric_check`, and as `tables.parquet.read_arrow`.
    """
    data = read_images(images)
    table = metric_check(data, settings["train_sizes"], settings["samples"], settings["confidence"])
    write_table(output, "metric_check", table, {"data_hash": data.data_hash})


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)
