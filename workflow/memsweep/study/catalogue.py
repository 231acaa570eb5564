"""The known datasets, by name: what a config can be checked against before any data is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from .folders import find_splits
from .listing import local


@dataclass(frozen=True)
class DatasetFacts:
    """Size and shape of a dataset.

    Attributes:
        train: number of images; without a test split of the dataset's own, the held-out
            images are taken from these.
        test: number of images of the dataset's own test split; 0 where it has none.
        height, width: pixels.
        channels: 1 for grey, 3 for RGB.
        classes: number of labels, which are 0 ... classes - 1.
        of_class: how many of the ``train`` images each label has; empty where that is not known.
    """

    train: int
    test: int
    height: int
    width: int
    channels: int
    classes: int
    of_class: tuple[int, ...] = ()

    def training_images(self, name: str, held_out: int) -> int:
        """Images left to train on when ``held_out`` are held out.

        Args:
            name: of the dataset, for the message.
            held_out: the config's ``dataset.test_images``.

        Raises:
            UserError: the dataset has fewer than ``held_out`` images to hold out.
        """
        if self.train + self.test < 4:
            raise UserError(
                f"dataset: {name} has {self.train + self.test} image(s); accepted are at least 4, two to train on and "
                f"two to hold out"
            )
        most = self.test or max(0, self.train - 2)
        if held_out > most:
            has = f"{self.test} test images" if self.test else f"{self.train} images"
            raise UserError(f"dataset.test_images: found {held_out}; accepted is at most {most}, as {name} has {has}")
        return self.train if self.test else self.train - held_out


def without_paths(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A config's ``dataset``, wherever it lies: moving the files changes no number."""
    return {key: value for key, value in dataset.items() if key not in ("path", "test_path")}


_DIGITS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
_MNIST = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)

CATALOGUE = {
    "digits": DatasetFacts(train=1797, test=0, height=8, width=8, channels=1, classes=10, of_class=_DIGITS),
    "cifar10": DatasetFacts(50_000, 10_000, height=32, width=32, channels=3, classes=10, of_class=(5000,) * 10),
    "mnist": DatasetFacts(60_000, 10_000, height=28, width=28, channels=1, classes=10, of_class=_MNIST),
    "fashion_mnist": DatasetFacts(60_000, 10_000, height=28, width=28, channels=1, classes=10, of_class=(6000,) * 10),
}
CHANNELS = {"grey": 1, "rgb": 3}


def describe(dataset: Mapping[str, Any]) -> DatasetFacts:
    """Facts of the dataset of a config, as it will be trained on.

    The files of an image folder are counted, not opened.

    Args:
        dataset: the config's ``dataset``.

    Raises:
        UserError: an image folder is missing or is not laid out as one.
    """
    facts = CATALOGUE.get(dataset["name"]) or _facts_of_folder(dataset)
    if "size" in dataset:
        facts = replace(facts, height=dataset["size"], width=dataset["size"])
    if "mode" in dataset:
        facts = replace(facts, channels=CHANNELS[dataset["mode"]])
    return facts


def _facts_of_folder(dataset: Mapping[str, Any]) -> DatasetFacts:
    parts = find_splits(dataset)
    train = parts["train"]
    test = len(parts["test"].names) if "test" in parts else 0
    counts = Counter(train.classes)
    size, channels = dataset["size"], CHANNELS[dataset["mode"]]
    of_class = tuple(counts[name] for name in train.class_names)
    return DatasetFacts(len(train.names), test, size, size, channels, len(train.class_names), of_class)


def sources(dataset: Mapping[str, Any]) -> list[Path]:
    """The user's own folders and zip files that images are made of; a dataset that is downloaded has none."""
    if dataset["name"] != "image_folder":
        return []
    return [local(dataset[key]) for key in ("path", "test_path") if key in dataset]
