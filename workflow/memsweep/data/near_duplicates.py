"""Images that are nearly others: the same picture, saved again, scaled, sharpened or with another frame.

What a study says rests on held-out images that are not trained on, and on training images that are apart: a sample
between two versions of one picture is a copy, and to f_mem it is none, as both are equally near.

Images are compared as pictures of at most 8x8 means of their pixels, in which noise and compression are lost and what
differs between pictures is not. An image is a near duplicate when the root mean square of its differences from its
nearest other image, d1, is at most 1 % of the range of pixels, or below a third of that from the second nearest, d2,
which is the rule by which samples are copies. Images that are equal in every pixel are counted elsewhere, and here as
one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from .images import Split

SIDE = 8
LARGEST_DISTANCE = 2.55
LARGEST_RATIO = 1 / 3

# Images of a split that are compared with each other, which takes minutes of so many, and four times as long of twice
MOST = 100_000

# Images that are reduced at a time
_PIECE = 256


def near_duplicates(train: Split, test: Split) -> dict[str, int]:
    """Images that are nearly others, whatever their labels.

    Returns:
        ``near_duplicates_train`` and ``near_duplicates_test``: different images of the split with a near duplicate in
        it; ``near_duplicates_between``: different test images, of those that no training image equals, with a near
        duplicate among the training images. Of more than `MOST` different images of a split, the first so many are
        compared with each other.
    """
    own, held_out = _different(train.images), _different(test.images)
    apart = [index for digest, index in held_out.items() if digest not in own]
    trained_on = reduced(train.images, list(own.values()))
    return {
        "near_duplicates_train": _count(trained_on[:MOST]),
        "near_duplicates_test": _count(reduced(test.images, list(held_out.values())[:MOST])),
        "near_duplicates_between": _count(trained_on, reduced(test.images, apart)),
    }


def _different(images: np.ndarray) -> dict[bytes, int]:
    """Where an image of each content stands among images (n, H, W, C), by the digest of its pixels."""
    return {hashlib.sha256(image.tobytes()).digest(): index for index, image in enumerate(images)}


def reduced(images: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Some images as rows of means of their pixels, on the scale of these, with root mean squares as distances.

    Args:
        images: (n, H, W, C) uint8.
        chosen: rows of them.

    Returns:
        (len(chosen), C · at most `SIDE`²), float32.
    """
    height, width, channels = images.shape[1:]
    size = min(SIDE, height), min(SIDE, width)
    rows = np.empty((len(chosen), channels * size[0] * size[1]), np.float32)
    for start in range(0, len(chosen), _PIECE):
        piece = torch.from_numpy(images[chosen[start : start + _PIECE]]).permute(0, 3, 1, 2).float()
        rows[start : start + _PIECE] = F.adaptive_avg_pool2d(piece, size).flatten(1).numpy()
    return rows / np.float32(rows.shape[1] ** 0.5)


def _count(references: np.ndarray, queries: np.ndarray | None = None) -> int:
    """How many rows have a near duplicate among the references; without queries, these against each other."""
    from sklearn.neighbors import NearestNeighbors

    others = len(references) - (queries is None)
    if others < 1 or (queries is not None and not len(queries)):
        return 0
    search = NearestNeighbors(n_neighbors=min(2, others), algorithm="brute").fit(references)
    distance, _ = search.kneighbors(queries)
    near = distance[:, 0] <= LARGEST_DISTANCE
    if others > 1:
        near |= distance[:, 0] < LARGEST_RATIO * distance[:, 1]
    return int(near.sum())
