"""Images that equal others in every pixel, of the sets of a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..data.given import Given


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


def duplicates(generated: Given, train: Given, held_out: Given | None, kept: np.ndarray | None) -> Duplicates:
    """The images that equal others; of the held-out ones, ``kept`` are no training images, nor nearly so."""
    own, among = different(train.images), different(generated.images)
    equal = 0 if held_out is None else _equal(held_out.images, own)
    return Duplicates(
        train=len(train) - len(own),
        generated=len(generated) - len(among),
        generated_train=_equal(generated.images, own),
        generated_held_out=0 if kept is None else _equal(generated.images, different(kept)),
        held_out_train=equal,
        held_out_near=0 if held_out is None or kept is None else len(held_out) - len(kept) - equal,
    )


def different(images: np.ndarray) -> dict[bytes, int]:
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
