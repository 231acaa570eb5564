"""Images in memory: the prepared dataset, and pixels as the network sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ..base.errors import UserError
from ..study.training_sets import TrainingSet
from ..tables.parquet import image_shape, metadata_of, read_arrow


@dataclass(frozen=True)
class Split:
    """Images (n, H, W, C) and their labels (n,) int64.

    Images are uint8; those of a surrogate are float32, on the same scale 0 ... 255 and beyond it.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class ImageSet:
    """A prepared dataset.

    Attributes:
        train, test: the two splits. A run is trained on N rows of ``train`` that follow one another.
        data_hash: content hash of both splits.
        classes: number of labels.
        surrogates: splits that stand in for ``test``, by name; those that were read.
        settings: the config's ``dataset`` that it was prepared by, paths left out.
    """

    train: Split
    test: Split
    data_hash: str
    classes: int
    surrogates: Mapping[str, Split] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.train.shape

    def training_set(self, chosen: TrainingSet) -> Split:
        """The images that runs with this training set are trained on."""
        return Split(self.train.images[chosen.rows], self.train.labels[chosen.rows])

    def check_training_sets(self, sets: Iterable[TrainingSet]) -> None:
        """Check that there are so many training images.

        Raises:
            UserError: a training set goes beyond them, as one that was asked for before its data shrank.
        """
        for chosen in sets:
            if chosen.stop > len(self.train):
                raise UserError(
                    f"train_size: found {chosen}; accepted is at most {len(self.train)}, the training images that were "
                    f"prepared of the dataset"
                )

    def check_settings(self, path: Path, dataset: Mapping[str, Any]) -> None:
        """Check that the images are those of a study.

        Args:
            path: where they were read.
            dataset: what the study says of its dataset, paths left out.

        Raises:
            UserError: they were prepared by other settings.
        """
        for key in sorted(dataset.keys() & self.settings.keys()):
            if dataset[key] != self.settings[key]:
                raise UserError(
                    f"{path}: prepared with dataset.{key} {self.settings[key]!r}, not {dataset[key]!r}; delete it to "
                    "make it again"
                )

    def drawn(self, names: Sequence[str]) -> dict[str, Split]:
        """The surrogates of these names.

        Raises:
            UserError: one of them was not read with the data.
        """
        missing = [name for name in names if name not in self.surrogates]
        if missing:
            raise UserError(f"evaluation.surrogates: found {', '.join(missing)}, of which no draws are given")
        return {name: self.surrogates[name] for name in names}


@dataclass(frozen=True)
class DeviceImages:
    """Training images on a device, once for all runs of a pack: (n, C, H, W) uint8, and labels (n,)."""

    images: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def load(cls, data: ImageSet, count: int, device: torch.device | str) -> DeviceImages:
        """The first ``count`` training images of the fixed order, in which training sets follow one another."""
        images = torch.from_numpy(data.train.images[:count]).permute(0, 3, 1, 2).contiguous()
        return cls(images.to(device), torch.from_numpy(data.train.labels[:count]).to(device))


def read_images(path: Path, surrogates: Path | None = None) -> ImageSet:
    """Read the image table that ``prepare`` wrote and, where it is given, the table of its surrogates.

    Raises:
        UserError: as in `tables.read_arrow`, or the surrogates are those of other images.
    """
    table = read_arrow(path, "images")
    metadata = metadata_of(table)
    images = decode(table["image"], image_shape(metadata))
    labels = table["label"].to_numpy()
    is_train = np.array(table["split"].to_pylist()) == "train"
    data = ImageSet(
        train=Split(images[is_train], labels[is_train]),
        test=Split(images[~is_train], labels[~is_train]),
        data_hash=metadata["data_hash"],
        classes=int(metadata["classes"]),
        settings=json.loads(metadata.get("settings", "{}")),
    )
    return data if surrogates is None else replace(data, surrogates=_read_surrogates(surrogates, data))


def _read_surrogates(path: Path, data: ImageSet) -> dict[str, Split]:
    table = read_arrow(path, "surrogates")
    found = metadata_of(table).get("data_hash", "")
    if found != data.data_hash:
        raise UserError(f"{path}: surrogates of other images (content hash {found!r}); accepted is {data.data_hash!r}")
    splits = {}
    for name in pc.unique(table["split"]).to_pylist():
        rows = table.filter(pc.equal(table["split"], name)).combine_chunks()
        pixels = rows["pixels"].combine_chunks().flatten().to_numpy().copy()  # Arrow's own memory is read-only
        splits[name] = Split(pixels.reshape(-1, *data.shape), rows["label"].to_numpy().copy())
    return splits


def decode(column: pa.ChunkedArray, shape: tuple[int, int, int]) -> np.ndarray:
    """A binary column as images, (n, H, W, C) uint8."""
    return np.frombuffer(b"".join(column.to_pylist()), dtype=np.uint8).reshape(-1, *shape)


def encode(images: np.ndarray) -> list[bytes]:
    """Images (n, H, W, C) uint8 as the values of a binary column."""
    return [image.tobytes() for image in images]


def scaled(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels 0 ... 255 of any shape as float32 on [-1, 1]."""
    return pixels.to(torch.float32) / 127.5 - 1


def to_network(images: np.ndarray) -> torch.Tensor:
    """Pixels on the scale 0 ... 255, (n, H, W, C), as a float32 tensor on [-1, 1], (n, C, H, W)."""
    return scaled(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def to_pixels(x: torch.Tensor) -> np.ndarray:
    """The inverse of `to_network`, clipped and rounded to uint8."""
    pixels: np.ndarray = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels
