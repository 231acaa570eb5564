"""Feature spaces in which images are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .classifier import read_classifier
from .images import read_images, to_network
from .tables import read_table, write_table

# Images (n, H, W, C) uint8 to features (n, d) float32
FeatureSpace = Callable[[np.ndarray], np.ndarray]

CHUNK = 1024


def pixels(images: np.ndarray) -> np.ndarray:
    """Pixel values in [0, 1], (n, H·W·C), float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def open_space(name: str, classifier: Path) -> FeatureSpace:
    """The feature space of that name: ``pixels``, or the hidden layer of the study's ``classifier``."""
    if name == "pixels":
        return pixels
    network = read_classifier(classifier)

    @torch.no_grad()
    def hidden_layer(images: np.ndarray) -> np.ndarray:
        parts = [network.features(part) for part in to_network(images).split(CHUNK)]
        features: np.ndarray = torch.cat(parts).numpy()
        return features

    return hidden_layer


def write_features(space: str, images: Path, classifier: Path, output: Path) -> None:
    """Write the features of every image of a dataset, so that each pack need not compute them again."""
    data = read_images(images)
    to_features = open_space(space, classifier)
    frames = [
        pd.DataFrame({"split": name, "index": np.arange(len(split)), "feature": list(to_features(split.images))})
        for name, split in (("train", data.train), ("test", data.test))
    ]
    write_table(output, "features", pd.concat(frames), {"space": space, "data_hash": data.data_hash})


def read_features(path: Path) -> dict[str, np.ndarray]:
    """Features by split, each (n, d) float32, in the order of the image table."""
    table = read_table(path, "features")
    return {str(split): np.stack(rows["feature"].tolist()) for split, rows in table.groupby("split")}
