"""The registry of datasets, and the stage ``prepare``: images, labels, split and content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .catalogue import CATALOGUE
from .errors import UserError
from .images import Split, encode
from .tables import write_table


def load_digits() -> Split:
    """scikit-learn's bundled digits: 1797 scanned digits of 8x8 pixels (UCI, Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits as load

    digits = load()
    # 17 grey levels, 0 ... 16, spread over 0 ... 255
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return Split(images[..., None], digits.target.astype(np.int64))


LOADERS: dict[str, Callable[[], Split]] = {"digits": load_digits}


def permutation(images: np.ndarray, seed: int) -> np.ndarray:
    """An order of the images that depends on their content and a seed, not on how they were stored.

    Args:
        images: (n, H, W, C) uint8.
        seed: another seed, another order.

    Returns:
        Indices, (n,), int64. Equal images keep their stored order.
    """
    ranks = [hashlib.sha256(b"%d:%s" % (seed, image.tobytes())).digest() for image in images]
    return np.array(sorted(range(len(images)), key=lambda index: ranks[index]))


def content_hash(train: Split, test: Split) -> str:
    """Hash of the pixels and labels of both splits in their order, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def prepare(settings: Mapping[str, Any], output: Path) -> None:
    """Write the image table of a dataset: the training images in their fixed order, then the held-out ones.

    Args:
        settings: the config's ``dataset``.
        output: ``images.parquet``.

    Raises:
        UserError: the dataset is not what the catalogue says.
    """
    name = settings["name"]
    data = LOADERS[name]()
    facts = CATALOGUE[name]
    expected = (facts.images, facts.height, facts.width, facts.channels)
    if data.images.shape != expected:
        raise UserError(f"dataset {name}: found images of shape {data.images.shape}; expected {expected}")
    order = permutation(data.images, settings["seed"])
    held_out, training = order[: settings["test_images"]], order[settings["test_images"] :]
    train, test = (Split(data.images[chosen], data.labels[chosen]) for chosen in (training, held_out))
    table = pd.DataFrame(
        {
            "index": np.concatenate([training, held_out]),
            "split": ["train"] * len(train) + ["test"] * len(test),
            "label": np.concatenate([train.labels, test.labels]),
            "image": encode(train.images) + encode(test.images),
        }
    )
    metadata = {
        "dataset": name,
        "data_hash": content_hash(train, test),
        "shape": ",".join(map(str, data.images.shape[1:])),
        "channel_order": "height, width, channel",
        "classes": str(facts.classes),
    }
    write_table(output, "images", table, metadata)
