"""Generators that are constructed, so that what they do is known: whether they copy, how well and how widely they draw.

Each draws images from a training set and from others of the same distribution, which stand for what a perfect sampler
would generate. They are what metrics are tried on: a metric that is to see copying has to tell the copiers from the
resampler, and one that is to see quality has to leave the resampler and the copiers alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..data.images import Split
from ..data.surrogates import fit_gaussian
from .neighbours import nearest

Source = np.random.Generator

# Standard deviations of a copier's noise, as shares of the range of pixels
NOISE = {"slight": 0.05, "moderate": 0.1, "strong": 0.2}


@dataclass(frozen=True)
class Generator:
    """A way to draw images whose faults are known.

    Attributes:
        name: as tables have it.
        copies: share of its images that are made from one training image each.
        is_real: whether an image by itself is, or is all but, one of the distribution.
        is_diverse: whether its images together are as diverse as their source: the distribution, or the training set.
        draw: so many images, (count, H, W, C) uint8, of a training set and of other images that are not in it.
    """

    name: str
    copies: float
    is_real: bool
    is_diverse: bool
    draw: Callable[[Split, Split, int, Source], np.ndarray]


def copier(noise: float = 0.0) -> Callable[[Split, Split, int, Source], np.ndarray]:
    """Training images, each pixel with normal noise of this standard deviation, a share of the range."""

    def draw(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
        copied = train.images[_rows(len(train), count, source)]
        return _pixels(copied + source.normal(0, 255 * noise, copied.shape)) if noise else copied

    return draw


def resample(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """Other images: a perfect sampler."""
    return others.images[_rows(len(others), count, source)]


def half_copy(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """Half training images as they are, half others."""
    copied = copier()(train, others, count // 2, source)
    return np.concatenate([copied, resample(train, others, count - len(copied), source)])


def drop_modes(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """Others of the first half of the classes alone; of one class, of the darker half of the images."""
    classes = np.unique(others.labels)
    if len(classes) > 1:
        kept = np.isin(others.labels, classes[: len(classes) // 2])
    else:
        brightness = others.images.reshape(len(others), -1).mean(axis=1)
        kept = brightness <= np.median(brightness)
    return resample(train, Split(others.images[kept], others.labels[kept]), count, source)


def gaussian(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """Draws from the Gaussian with the mean and covariance of the others, rounded and clipped to pixels."""
    height, width, channels = others.shape
    normal = torch.from_numpy(source.standard_normal((count, channels * height * width)))
    points = fit_gaussian(others.images).sample(normal).numpy()
    return _pixels((points.reshape(count, channels, height, width).transpose(0, 2, 3, 1) + 1) * 127.5)


def class_means(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """The mean training image of each class, as often as the class is among the others."""
    means = {label: train.images[train.labels == label].mean(axis=0) for label in np.unique(train.labels)}
    known = others.labels[np.isin(others.labels, list(means))]
    return _pixels(np.stack([means[label] for label in known[_rows(len(known), count, source)]]))


def neighbour_means(train: Split, others: Split, count: int, source: Source) -> np.ndarray:
    """The mean of a training image and its nearest other one."""
    rows = train.images.reshape(len(train), -1)
    first = _rows(len(train), count, source)
    pairs = nearest(rows[first], rows).index
    other = np.where(pairs[:, 0] == first, pairs[:, 1], pairs[:, 0])
    return _pixels((train.images[first].astype(np.float64) + train.images[other]) / 2)


GENERATORS: Sequence[Generator] = (
    Generator("resampler", 0, True, True, resample),
    Generator("copier", 1, True, True, copier()),
    *(
        Generator(f"copier_{name}_noise", 1, noise < 0.1, True, copier(noise))  # noise of a tenth is seen
        for name, noise in NOISE.items()
    ),
    Generator("half_copier", 0.5, True, True, half_copy),
    Generator("neighbour_means", 0, False, True, neighbour_means),
    Generator("class_means", 0, False, False, class_means),
    Generator("gaussian", 0, False, True, gaussian),
    Generator("mode_dropper", 0, True, False, drop_modes),
)


def _rows(available: int, count: int, source: Source) -> np.ndarray:
    """So many rows at random, each as often as any other as far as may be."""
    rounds = [source.permutation(available) for _ in range(-(-count // available))]
    return np.concatenate(rounds)[:count] if rounds else np.empty(0, np.int64)


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
