"""Surrogates of a dataset: draws from Gaussians with its means and covariances, and nothing else of it.

Two rungs of a ladder from pair-wise statistics to the images themselves (Bardone, Merger & Goldt
2026, arXiv 2603.12901, take the first):

- ``gaussian``: N(m, C), m and C being the mean and the full covariance of all training images.
- ``gaussian_mixture``: each class c has its own N(m_c, C_c).

Row i of a surrogate has the label of test image i, so that a class-conditional network is shown
the same labels on both, each as often, and losses differ by the images alone. In the mixture the
label is that of the component drawn from. A single Gaussian knows no classes, so there the label
says nothing about the image, and a network that uses class means tells it from real images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ..base.errors import UserError
from ..tables.contracts import SCHEMAS
from ..tables.parquet import image_metadata, write_table
from .images import ImageSet, Split, read_images, to_network
from .randomness import generator

# Images a piece of the sum that makes a covariance: their float64 copy fits into any memory.
PIECE = 4096


@dataclass(frozen=True)
class Gaussian:
    """N(mean, covariance) of images on the scale of the network, in the basis of the covariance's eigenvectors.

    Attributes:
        mean: (d,) float64.
        variances: eigenvalues, (d,) float64; exactly 0 where they are 0 up to rounding, as they
            are in at least d - n + 1 directions when it was fitted to n images.
        axes: eigenvectors as columns, (d, d) float64.
    """

    mean: Tensor
    variances: Tensor
    axes: Tensor

    def sample(self, normal: Tensor) -> Tensor:
        """Turn standard normal draws (n, d), float64, into draws of this Gaussian.

        The draws are m + C^½ z with the symmetric root, which is unique: they do not depend on
        which eigenvectors a library picks.
        """
        return self.mean + ((normal @ self.axes) * self.variances.sqrt()) @ self.axes.T


def fit_gaussian(images: np.ndarray) -> Gaussian:
    """The Gaussian with the mean and covariance of these images, each counted 1 / n.

    Args:
        images: (n, H, W, C) uint8, n of at least 1; d = C·H·W, in this order.
    """
    dimension = images[0].size
    mean, covariance = torch.zeros(dimension).double(), torch.zeros(dimension, dimension).double()
    starts = range(0, len(images), PIECE)
    for start in starts:
        mean += _points(images[start : start + PIECE]).sum(dim=0) / len(images)
    for start in starts:
        centred = _points(images[start : start + PIECE]) - mean
        covariance += centred.T @ centred / len(images)
    variances, axes = torch.linalg.eigh(covariance)
    rounding = dimension * torch.finfo(torch.float64).eps * variances[-1]
    return Gaussian(mean, variances.where(variances > rounding, 0.0), axes)


def _points(images: np.ndarray) -> Tensor:
    return to_network(images).double().flatten(1)


def fit_class(data: ImageSet, label: int) -> Gaussian:
    """The Gaussian of one class of the training images.

    Raises:
        UserError: the class has none.
    """
    images = data.train.images[data.train.labels == label]
    if not len(images):
        raise UserError(
            f"evaluation.surrogates: found gaussian_mixture, but no training image is of class {label}, of which there "
            f"are test images; accepted are fewer dataset.test_images, or surrogates without gaussian_mixture"
        )
    return fit_gaussian(images)


def surrogate(data: ImageSet, name: str) -> Split:
    """Draw a surrogate of the whole training split, as many images as the test split, under its labels.

    Both surrogates are made of the same normal draws, so that they differ by their rung alone.

    Args:
        data: the dataset.
        name: ``gaussian`` or ``gaussian_mixture``.

    Returns:
        Images (n, H, W, C), float32, on the scale 0 ... 255 of pixels, neither rounded nor clipped.

    Raises:
        UserError: as `fit_class`.
    """
    height, width, channels = data.shape
    labels = data.test.labels
    normal = torch.randn(len(labels), height * width * channels, dtype=torch.float64, generator=generator("surrogates"))
    if name == "gaussian":
        points = fit_gaussian(data.train.images).sample(normal)
    else:
        points = torch.empty_like(normal)
        for label in np.unique(labels):
            rows = torch.from_numpy(labels == label)
            points[rows] = fit_class(data, label).sample(normal[rows])
    pixels = ((points + 1) * 127.5).float().reshape(-1, channels, height, width).permute(0, 2, 3, 1)
    return Split(pixels.contiguous().numpy(), labels)


def write_surrogates(names: list[str], images: Path, output: Path) -> None:
    """Write the table ``surrogates`` of a prepared dataset.

    Args:
        names: of the surrogates.
        images: the prepared image table.
        output: receives the table.

    Raises:
        UserError: as `surrogate`, and as `tables.read_arrow`.
    """
    data = read_images(images)
    parts = [_rows(name, surrogate(data, name)) for name in names] or [SCHEMAS["surrogates"].empty_table()]
    metadata = {**image_metadata(data.shape), "data_hash": data.data_hash}
    write_table(output, "surrogates", pa.concat_tables(parts), metadata)


def _rows(name: str, split: Split) -> pa.Table:
    count, size = len(split), split.images[0].size
    pixels = pa.LargeListArray.from_arrays(np.arange(0, (count + 1) * size, size), split.images.ravel())
    columns = {"split": [name] * count, "index": np.arange(count), "label": split.labels, "pixels": pixels}
    return pa.table(columns)
