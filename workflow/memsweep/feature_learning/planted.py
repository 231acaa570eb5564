"""Images with a planted feature: a frame that is bright or dark, and the object inside.

The frame is the easy feature; the hard one is which half of the classes the object belongs to.
In training images they agree with a given probability; in the images that features are probed on
they are independent, so that a probe can only find what the features hold of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..frame import FRAME
from ..images import Split
from ..randomness import generator

BRIGHT = 255


@dataclass(frozen=True)
class Planted:
    """Framed images.

    Attributes:
        images: (n, H + 2 FRAME, W + 2 FRAME, C) uint8.
        easy: whether the frame is bright, (n,), 0 or 1.
        hard: whether the object is of the second half of the classes, (n,), 0 or 1.
        label: class of the object, (n,).
    """

    images: NDArray[np.uint8]
    easy: NDArray[np.int64]
    hard: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


def plant(split: Split, classes: int, agreement: float, seed: int, purpose: str) -> Planted:
    """Lay a frame around each image, bright with probability ``agreement`` where the hard feature is 1.

    Image k has the same frame in every training set of the same seed that holds it.

    Args:
        split: the images.
        classes: number of classes of the dataset.
        agreement: probability that easy = hard; 1/2 makes them independent.
        seed, purpose: of the draw.
    """
    hard = (split.labels >= (classes + 1) // 2).astype(np.int64)
    draw = torch.rand(len(split), generator=generator(seed, "frames", purpose)).numpy()
    easy = np.where(draw < agreement, hard, 1 - hard)
    width = ((0, 0), (FRAME, FRAME), (FRAME, FRAME), (0, 0))
    images = np.pad(split.images, width)
    inside = np.zeros(images.shape[1:3], bool)
    inside[FRAME:-FRAME, FRAME:-FRAME] = True
    images[:, ~inside] = (easy * BRIGHT)[:, None, None]
    return Planted(images, easy, hard, split.labels)
