"""Patches of the noisy digits: images of two classes, each beside a patch of noise.

The first patch is an image, scaled so that the patches' mean norm is SNR · √d; the second is N(0, I).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...base.errors import UserError
from ...data.images import Split
from ...data.randomness import generator


@dataclass(frozen=True)
class Digits:
    """Patches of one split, on which everything is trained and tested.

    Attributes:
        patches: image and noise, (n, 2, d), float64.
        labels: ±1, (n,), float64.
        side: (height, width) of a patch.
    """

    patches: Tensor
    labels: Tensor
    side: tuple[int, int]

    def as_images(self, patches: Tensor) -> Tensor:
        """Patches side by side, (n, 1, height, 2 · width), float32."""
        height, width = self.side
        return patches.float().reshape(-1, 2, height, width).permute(0, 2, 1, 3).reshape(-1, 1, height, 2 * width)


def digits(split: Split, classes: tuple[int, int], images: int, scale: float, seed: int, purpose: str) -> Digits:
    """The first images of two classes, beside noise.

    Args:
        split: where from; several channels are averaged.
        classes: the labels that stand for +1 and -1.
        images: of each class, at most; fewer where there are fewer.
        scale: factor on pixels in [0, 1], as `scale_for` gives it.
        seed, purpose: of the noise patches.

    Raises:
        UserError: the split has no image of one of the classes.
    """
    for label in classes:
        if label not in split.labels:
            raise UserError(
                f"noisy_digits.classes: found {list(classes)}, and none of the {len(split)} images to {purpose} on is "
                f"of class {label}; accepted are classes of them"
            )
    chosen = np.sort(np.concatenate([np.flatnonzero(split.labels == label)[:images] for label in classes]))
    pixels = torch.from_numpy(split.images[chosen]).double().mean(dim=-1) / 255
    noise = torch.randn(
        pixels.flatten(1).shape, generator=generator(seed, "noisy digits", purpose), dtype=torch.float64
    )
    labels = torch.from_numpy(np.where(split.labels[chosen] == classes[0], 1.0, -1.0))
    side = int(pixels.shape[1]), int(pixels.shape[2])
    return Digits(torch.stack([scale * pixels.flatten(1), noise], dim=1), labels, side)


def check_images(split: Split, classes: tuple[int, int], images: int) -> None:
    """Check that there are so many images of each of two classes to train on.

    Raises:
        UserError: there are fewer.
    """
    for label in classes:
        count = int((split.labels == label).sum())
        if count < images:
            raise UserError(
                f"noisy_digits.images: found {images}; accepted is at most {count}, the training images that class "
                f"{label} has"
            )


def scale_for(split: Split, classes: tuple[int, int], snr: float) -> float:
    """The factor on pixels in [0, 1] that gives images of two classes a mean norm of SNR · √d."""
    pixels = split.images[np.isin(split.labels, classes)].astype(np.float64).mean(axis=-1) / 255
    norms = np.sqrt((pixels**2).sum(axis=(1, 2)))
    return snr * math.sqrt(pixels[0].size) / float(norms.mean())
