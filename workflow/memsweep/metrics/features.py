"""Feature spaces in which images are compared."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..base.devices import claimed_device
from ..base.errors import UserError
from ..base.files import replacing
from ..base.fingerprints import fingerprint
from ..data.images import ImageSet, read_images, to_network
from ..tables.parquet import metadata_of, read_arrow, write_table
from . import pretrained
from .classifier import classifier_version, read_classifier
from .pretrained import SOURCES, file_hash, find_weights, open_network

# Images (n, H, W, C) uint8 to features (n, d) float32
FeatureSpace = Callable[[np.ndarray], np.ndarray]

CHUNK = 1024


def pixels(images: np.ndarray) -> np.ndarray:
    """Pixel values in [0, 1], (n, H·W·C), float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def hidden_layer(weights: Path) -> FeatureSpace:
    """The hidden layer of the study's classifier, of which ``weights`` is the file."""
    network = read_classifier(weights)

    @torch.no_grad()
    def features(images: np.ndarray) -> np.ndarray:
        parts = [network.features(part) for part in to_network(images).split(CHUNK)]
        result: np.ndarray = torch.cat(parts).numpy()
        return result

    return features


def _pretrained(name: str) -> Callable[[Path, torch.device], FeatureSpace]:
    return lambda weights, device: open_network(name, weights, device)


# The spaces that config can ask for, each opened with its file of weights, on a device. Another is one
# function here, or one network in `pretrained`, and one entry in the schema.
SPACES: dict[str, Callable[[Path, torch.device], FeatureSpace]] = {
    "pixels": lambda _weights, _device: pixels,
    "classifier": lambda weights, _device: hidden_layer(weights),
    **{name: _pretrained(name) for name in SOURCES},
}


@dataclass(frozen=True)
class Space:
    """A feature space and where its weights are, if it has any."""

    name: str
    weights: Path

    @staticmethod
    def find(name: str, classifier: Path | None = None, given: Mapping[str, str] | None = None) -> Space:
        """The space of that name.

        Args:
            name: key of `SPACES`.
            classifier: weights of the study's classifier, which only the space of that name needs.
            given: paths of weights, the config's ``metrics.weights``, for published networks.

        Raises:
            UserError: as of `pretrained.find_weights`.
        """
        if name in SOURCES:
            return Space(name, find_weights(name, (given or {}).get(name)))
        return Space(name, classifier or Path())

    @property
    def version(self) -> str:
        """What besides the images decides the features: of a network its weights, of a published one also our code."""
        if self.name in SOURCES:
            return f"{file_hash(self.weights)[:16]}-{fingerprint(pretrained.__name__)}"
        return classifier_version(self.weights) if self.name == "classifier" else ""


@contextmanager
def opened(spaces: Mapping[str, Space]) -> Iterator[dict[str, FeatureSpace]]:
    """The maps from images to features; published networks on a GPU that no other job uses, where there is one."""
    wanted = "auto" if any(name in SOURCES for name in spaces) else "cpu"
    with claimed_device(wanted, lambda text: print(text, file=sys.stderr)) as device:
        yield {name: SPACES[name](space.weights, device) for name, space in spaces.items()}


def write_features(
    settings: Mapping[str, Any], images: Path, classifier: Path | None, cache: Path, output: Path
) -> None:
    """Write the features of every image of a dataset, so that each pack need not compute them again.

    Those of published networks do not depend on the study: they are kept in ``cache`` and found there
    by content, that of the images and of the weights. The study gets a copy, not a link, because a
    link shares its time stamp, by which Snakemake would take other studies for outdated.

    Args:
        settings: ``space``, its name, and ``weights``, the config's ``metrics.weights``.
        images: the prepared image table.
        classifier: weights of the study's classifier, which only the space of that name needs.
        cache: folder shared by all studies.
        output: the table of features.
    """
    space = Space.find(settings["space"], classifier, settings.get("weights"))
    data = read_images(images)
    if space.name not in SOURCES:
        if space.name == "classifier":
            read_classifier(space.weights, data.data_hash)
        _write(space, data, output)
        return
    cached = cache / f"{space.name}-{data.data_hash}-{space.version}.parquet"
    if not cached.exists():
        _write(space, data, cached)
    read_arrow(cached, "features")
    with replacing(output) as temporary:
        shutil.copyfile(cached, temporary)


def _write(space: Space, data: ImageSet, path: Path) -> None:
    splits = {"train": data.train.images, "test": data.test.images}
    with opened({space.name: space}) as maps:
        features_of_split = {name: maps[space.name](images) for name, images in splits.items()}
    parts = []
    for name, features in features_of_split.items():
        count, dimension = features.shape
        offsets = np.arange(0, features.size + 1, dimension)
        columns = {
            "split": pa.array([name] * count),
            "index": np.arange(count),
            "feature": pa.LargeListArray.from_arrays(offsets, features.reshape(-1)),
        }
        parts.append(pa.table(columns))
    metadata = {"space": space.name, "data_hash": data.data_hash, "version": space.version}
    write_table(path, "features", pa.concat_tables(parts), metadata)


def features_of(space: Space, path: Path, data_hash: str) -> dict[str, np.ndarray]:
    """Features by split, each (n, d) float32, in the order of the image table.

    Args:
        space: whose features the table must hold.
        path: the table of features.
        data_hash: content hash of the images whose features they must be.

    Raises:
        UserError: they are those of other images or of another space, or made with other weights or by other code.
    """
    table = read_arrow(path, "features")
    metadata = metadata_of(table)
    for key, wanted in (("data_hash", data_hash), ("space", space.name)):
        if metadata.get(key) != wanted:
            raise UserError(f"{path}: its {key} is {metadata.get(key)}, not {wanted}; delete it to make it again")
    if metadata.get("version") != space.version:
        raise UserError(f"{path}: not made with {space.weights}, or by other code; delete it to make it again")
    split = table["split"].to_numpy()
    values = table["feature"].combine_chunks()
    features = values.flatten().to_numpy().reshape(len(split), -1)
    return {name: features[split == name] for name in ("train", "test")}
