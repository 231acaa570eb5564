"""Whether one set of images copies another: copies, nearest pairs and the battery, of images in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..data.given import Given
from .battery import Samples, battery
from .calibration import RATE, Distances, apart, copy_shares
from .neighbours import Neighbours, nearest
from .novelty import share

# The spaces in which anybody's images can be compared: all that no study has to train first
SPACES = ("pixels", "inception", "sscd", "dinov2")

# Cosine similarity in the space of SSCD beyond which the field calls a sample a copy
SSCD_THRESHOLD = 0.6


@dataclass(frozen=True)
class Duplicates:
    """Images that equal others in every pixel.

    Attributes:
        train, generated: images of the set less different images of it.
        generated_train: generated images that equal a training image.
        generated_held_out: generated images that equal a held-out image that is no training image.
        held_out_train: held-out images that equal a training image.
        held_out_near: other held-out images that are nearly a training image, as pictures of 8x8 pixels.
    """

    train: int
    generated: int
    generated_train: int
    generated_held_out: int
    held_out_train: int
    held_out_near: int


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Attributes:
        copy_shares, battery, nearest_pairs: the tables of these names (`tables.contracts.comparison`); pairs are
            ordered, the least d1 / d2 first.
        duplicates: images that equal others.
        rate: the false-positive rate that was set; above the one asked for where there were too few held-out images.
    """

    copy_shares: pd.DataFrame
    battery: pd.DataFrame
    nearest_pairs: pd.DataFrame
    duplicates: Duplicates
    rate: float


def compare_images(
    generated: Given,
    train: Given,
    held_out: Given | None,
    space: str = "pixels",
    weights: Mapping[str, str] | None = None,
    rate: float = RATE,
    confidence: float = 0.95,
) -> Compared:
    """Compare generated images with training and held-out ones of the same shape.

    Training images that are there twice count once, as a copy of one of them would be as near to the other. Held-out
    images that are, or nearly are, training images say nothing of images that copy nothing, and are left out.

    Args:
        generated, train, held_out: at least 2 images each; ``held_out`` is None where there are none.
        space: one of `SPACES`.
        weights: file of a published network's weights by its space.
        rate: false-positive rate of the calibrated rule.
        confidence: level of intervals.

    Raises:
        UserError: there are fewer than 2 different images of a set, or the network of a space is missing.
    """
    kept = np.array(sorted(_different(train.images).values()))
    _check(len(generated), generated, "images")
    _check(len(kept), train, "different images")
    sets = {"generated": generated.images, "train": train.images[kept]}
    if held_out is not None:
        sets["held_out"] = held_out.images[apart(held_out.images, train.images)]
        _check(len(sets["held_out"]), held_out, "images that are none of the training images")
    points = _points(sets, space, weights)
    found = nearest(np.concatenate([points[name] for name in points if name != "train"]), points["train"])
    unit = 255.0 if space == "pixels" else 1.0
    samples = _parts(points, found)
    to = {name: Distances(*(each.found.distance / unit).T) for name, each in samples.items()}
    used = max(rate, 1 / (len(sets["held_out"]) + 1)) if held_out is not None else rate
    shares = copy_shares(to["generated"], to.get("held_out"), used, confidence)
    threshold = float(shares["threshold"].iloc[-1])
    if space == "sscd":
        shares = pd.concat([shares, _sscd_share(to["generated"], to.get("held_out"), confidence)], ignore_index=True)
    return Compared(
        shares,
        battery(samples["generated"], points["train"], samples.get("held_out"), confidence),
        _pairs(generated, train, kept[samples["generated"].found.index[:, 0]], to["generated"], threshold),
        _duplicates(generated, train, held_out, sets.get("held_out")),
        used,
    )


def _duplicates(generated: Given, train: Given, held_out: Given | None, kept: np.ndarray | None) -> Duplicates:
    """The images that equal others; of the held-out ones, ``kept`` are no training images, nor nearly so."""
    own, among = _different(train.images), _different(generated.images)
    equal = 0 if held_out is None else _equal(held_out.images, own)
    return Duplicates(
        train=len(train) - len(own),
        generated=len(generated) - len(among),
        generated_train=_equal(generated.images, own),
        generated_held_out=0 if kept is None else _equal(generated.images, _different(kept)),
        held_out_train=equal,
        held_out_near=0 if held_out is None or kept is None else len(held_out) - len(kept) - equal,
    )


def _check(count: int, given: Given, kind: str) -> None:
    if count < 2:
        raise UserError(f"{given.role}: found {count} {kind}; accepted are at least 2")


def _different(images: np.ndarray) -> dict[bytes, int]:
    """Where the first image of each content stands, by the digest of its pixels."""
    found: dict[bytes, int] = {}
    for row, image in enumerate(images):
        found.setdefault(_digest(image), row)
    return found


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _equal(images: np.ndarray, others: Mapping[bytes, int]) -> int:
    """How many images equal one of others."""
    return sum(_digest(image) in others for image in images)


def _points(sets: Mapping[str, np.ndarray], space: str, weights: Mapping[str, str] | None) -> dict[str, np.ndarray]:
    """The rows of each set: pixels as they are, whose distances are exact, or features, float32."""
    if space == "pixels":
        return {name: images.reshape(len(images), -1) for name, images in sets.items()}
    from .features import Space, opened  # and torchvision, which pixels need not wait for

    with opened({space: Space.find(space, given=weights)}) as maps:
        return {name: maps[space](images) for name, images in sets.items()}


def _parts(points: Mapping[str, np.ndarray], found: Neighbours) -> dict[str, Samples]:
    """Each set but the training images, with its part of what was found of all of them."""
    parts, start = {}, 0
    for name, rows in points.items():
        if name != "train":
            stop = start + len(rows)
            parts[name] = Samples(rows, Neighbours(found.index[start:stop], found.distance[start:stop]))
            start = stop
    return parts


def _sscd_share(generated: Distances, held_out: Distances | None, confidence: float) -> pd.DataFrame:
    """The row of `copy_shares` of the SSCD score (Pizzi et al. 2022; Marion & Wu 2026)."""

    def score(distances: Distances) -> np.ndarray:
        similar: np.ndarray = 1 - np.square(distances.first) / 2 > SSCD_THRESHOLD  # of vectors of length 1
        return similar

    found, row = share(score(generated), confidence), {"rule": "sscd", "threshold": SSCD_THRESHOLD}
    shown = {"value": found.value, "ci_low": found.ci_low, "ci_high": found.ci_high, "generated": found.count}
    if held_out is None:
        return pd.DataFrame([{**row, **shown, "held_out": 0}])
    control = share(score(held_out), confidence)
    beside = {"value": control.value, "ci_low": control.ci_low, "ci_high": control.ci_high}
    return pd.DataFrame(
        [{**row, **shown, **{f"held_out_{key}": end for key, end in beside.items()}, "held_out": control.count}]
    )


def _pairs(generated: Given, train: Given, nearest_rows: np.ndarray, to: Distances, threshold: float) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "index": np.arange(len(generated)),
            "name": list(generated.names),
            "nearest": nearest_rows,
            "nearest_name": [train.names[row] for row in nearest_rows],
            "distance": to.first,
            "second_distance": to.second,
            "ratio": to.ratio,
            "is_copy": to.copies(threshold),
        }
    )
    return table.sort_values(["ratio", "distance", "index"], ignore_index=True)
