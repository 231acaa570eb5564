"""The registry of datasets, and the stage ``prepare``: images, labels, split and content hash."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..study.catalogue import describe, without_paths
from ..study.folders import ImageFiles, find_splits
from ..study.listing import local
from ..tables.parquet import image_metadata, write_table
from .conversion import convert_arrays, read_pictures
from .images import Split, encode
from .near_duplicates import near_duplicates

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """A dataset as it is stored.

    Attributes:
        train: all images to train on or, without ``test``, all images there are.
        test: the dataset's own test split, if it has one.
        class_names: the name of each label.
    """

    train: Split
    test: Split | None
    class_names: list[str]


def load_digits(settings: Settings) -> Dataset:
    """scikit-learn's bundled digits: 1797 scanned digits of 8x8 pixels (UCI, Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits as load

    digits = load()
    # 17 grey levels, 0 ... 16, spread over 0 ... 255
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    names = [str(name) for name in digits.target_names]
    return _converted(Dataset(Split(images[..., None], digits.target.astype(np.int64)), None, names), settings)


def load_torchvision(class_name: str, settings: Settings) -> Dataset:
    """A dataset of torchvision's, downloaded to ``path`` unless it is there.

    Args:
        class_name: class of ``torchvision.datasets`` with arguments ``root``, ``train`` and
            ``download`` and attributes ``data``, ``targets`` and ``classes``.
        settings: the config's ``dataset``.

    Raises:
        UserError: the download failed, or what is in ``path`` is damaged.
    """
    from torchvision import datasets

    source = getattr(datasets, class_name)
    root = local(settings["path"])
    try:
        train, test = (source(root, train=is_train, download=True) for is_train in (True, False))
    except Exception as error:  # torchvision raises whatever the network, the disk or a damaged file leads to
        raise UserError(
            f"dataset {settings['name']}: cannot be downloaded to, or read from, dataset.path {settings['path']!r} "
            f"({' '.join(str(error).split()) or type(error).__name__}); {_how_to_fill(source, root)}; "
            f"delete damaged files there to download them again"
        ) from None

    def split(part: Any) -> Split:
        images = np.asarray(part.data)
        return Split(images if images.ndim == 4 else images[..., None], np.asarray(part.targets, np.int64))

    return _converted(Dataset(split(train), split(test), list(train.classes)), settings)


def _how_to_fill(source: Any, root: Path) -> str:
    """Where a user without a network gets the files of a torchvision dataset, and where they belong."""
    if hasattr(source, "resources"):  # the family of MNIST
        files, place = [name for name, _ in source.resources], root / source.__name__ / "raw"
        origin = " or ".join(source.mirrors)
    else:
        files, place, origin = [source.filename], root, source.url
    return f"without a network, get {', '.join(files)} from {origin} and put it into {place}"


def load_image_folder(settings: Settings) -> Dataset:
    """Folders, or zip files, with one folder of images per class; see `folders.find_splits`.

    Raises:
        UserError: as `folders.find_splits` and `conversion.read_pictures`.
    """
    parts = find_splits(settings)
    names = parts["train"].class_names
    labels = {name: label for label, name in enumerate(names)}
    splits = {}
    for split, files in parts.items():
        images, report = read_pictures(files, settings["size"], settings["mode"])
        splits[split] = Split(images, np.array([labels[name] for name in files.classes], np.int64))
        say(f"{files.path}: {report}")
        _say_left_out(files)
    return Dataset(splits["train"], splits.get("test"), names)


def _say_left_out(files: ImageFiles) -> None:
    """Say which files of a folder or zip file are no images of the data."""
    if files.left_out:
        reason = "not an image's name, or of no split"
        say(f"{files.path}: {len(files.left_out)} files left out, such as {files.left_out[0]}: {reason}")
    if files.skipped:
        reason = "hidden, a system's, or a thumbnail of another image"
        say(f"{files.path}: {len(files.skipped)} files or folders skipped, such as {files.skipped[0]}: {reason}")


LOADERS: dict[str, Callable[[Settings], Dataset]] = {
    "digits": load_digits,
    "cifar10": partial(load_torchvision, "CIFAR10"),
    "mnist": partial(load_torchvision, "MNIST"),
    "fashion_mnist": partial(load_torchvision, "FashionMNIST"),
    "image_folder": load_image_folder,
}


def say(sentence: str) -> None:
    """Write to the log."""
    print(sentence, file=sys.stderr)


def _converted(data: Dataset, settings: Settings) -> Dataset:
    """The dataset in the size and mode asked for."""
    _, height, _, channels = data.train.images.shape
    size, mode = settings.get("size", height), settings.get("mode", "grey" if channels == 1 else "rgb")

    def split(part: Split) -> Split:
        images, report = convert_arrays(part.images, size, mode)
        say(f"{settings['name']}: {report}")
        return Split(images, part.labels)

    if "size" not in settings and "mode" not in settings:
        return data
    return Dataset(split(data.train), None if data.test is None else split(data.test), data.class_names)


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


def in_turns(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same images with their classes taking turns, so that any first N hold each class about equally often.

    Args:
        order: indices, (n,), int64.
        labels: class of each image by index.

    Returns:
        Indices, (n,), int64; the images of one class keep their order.
    """
    turns = pd.Series(labels[order]).groupby(labels[order]).cumcount().to_numpy()
    return order[np.argsort(turns, kind="stable")]


def arrange(data: Dataset, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Which images are trained on, and which are held out, each in its fixed order.

    Args:
        data: the dataset.
        settings: ``test_images``, ``seed`` and ``order``; without ``order`` it is ``permuted``.

    Returns:
        Indices into ``data.train`` and, of the held-out images, into ``data.test`` where
        there is one and into ``data.train`` otherwise; int64. Of a permuted dataset without
        a test split, every class keeps an image to train on, where as many are left.
    """

    stored = settings.get("order") == "stored"

    def order(split: Split) -> np.ndarray:
        return np.arange(len(split)) if stored else permutation(split.images, settings["seed"])

    count, train = settings["test_images"], order(data.train)
    if data.test is not None:
        held_out = order(data.test)[:count]
    elif stored:  # the first images are those to train on
        train, held_out = train[:-count], train[-count:]
    else:
        held_out = _first_of_others(train, data.train.labels, count)
        train = train[~np.isin(train, held_out)]
    return (train if stored else in_turns(train, data.train.labels)), held_out


def _first_of_others(order: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The first images of an order but for the last of each class, which stays to be trained on.

    Args:
        order: indices, (n,), int64.
        labels: class of each image by index.
        count: how many of them; where these leave fewer than one of each class, they are simply the first.
    """
    last = dict(zip(labels[order], order, strict=True))
    others = order[~np.isin(order, list(last.values()))]
    return (others if len(others) >= count else order)[:count]


def content_hash(train: Split, test: Split) -> str:
    """Hash of the pixels and labels of both splits in their order, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def duplicates(train: Split, test: Split) -> dict[str, int]:
    """Images that repeat others, pixel for pixel, whatever their labels.

    A repeated training image weighs more than once, and is to f_mem two nearest images at
    one distance, d1 = d2; a test image that is also trained on is not held out.

    Returns:
        ``duplicates_train`` and ``duplicates_test``: images of the split less different
        images of the split; ``duplicates_between``: test images equal to some training image.
    """
    seen, held_out = (
        Counter(hashlib.sha256(image.tobytes()).digest() for image in part.images) for part in (train, test)
    )
    return {
        "duplicates_train": len(train) - len(seen),
        "duplicates_test": len(test) - len(held_out),
        "duplicates_between": sum(count for image, count in held_out.items() if image in seen),
    }


def prepare(settings: Settings, output: Path) -> str:
    """Write the image table of a dataset: the training images in their fixed order, then the held-out ones.

    What was converted, and how many images repeat others or nearly do, goes to standard error.

    Args:
        settings: the config's ``dataset``.
        output: ``images.parquet``.

    Returns:
        The content hash of the images.

    Raises:
        UserError: the dataset is missing, damaged, or not what the catalogue says.
    """
    name = settings["name"]
    facts = describe(settings)
    facts.training_images(name, settings["test_images"])
    data = LOADERS[name](settings)
    for split, images in ((data.train, facts.train), (data.test, facts.test)):
        expected = (images, facts.height, facts.width, facts.channels)
        if split is not None and split.images.shape != expected:
            raise UserError(f"dataset {name}: found images of shape {split.images.shape}; expected {expected}")
    training, held_out = arrange(data, settings)
    train = Split(data.train.images[training], data.train.labels[training])
    source = data.train if data.test is None else data.test
    test = Split(source.images[held_out], source.labels[held_out])
    repeats = {**duplicates(train, test), **near_duplicates(train, test)}
    data_hash = content_hash(train, test)
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
        "settings": json.dumps(without_paths(settings), sort_keys=True),
        "data_hash": data_hash,
        **image_metadata(train.shape),
        "classes": str(facts.classes),
        "class_names": json.dumps(data.class_names),
        **{key: str(count) for key, count in repeats.items()},
    }
    write_table(output, "images", table, metadata)
    _log(data.class_names, train, test, repeats)
    return data_hash


def _log(class_names: list[str], train: Split, test: Split, repeats: Mapping[str, int]) -> None:
    for kind, split in (("training", train), ("test", test)):
        counts = np.bincount(split.labels, minlength=len(class_names))
        shown = ", ".join(f"{name} {count}" for name, count in list(zip(class_names, counts, strict=True))[:20])
        say(f"{len(split)} {kind} images of {len(class_names)} classes: {shown}{', ...' if len(counts) > 20 else ''}")
    say(
        f"exact duplicates: {repeats['duplicates_train']} within the training images, {repeats['duplicates_test']} "
        f"within the test images, {repeats['duplicates_between']} test images that are also training images"
    )
    say(
        f"near duplicates: {repeats['near_duplicates_train']} training images with another one, "
        f"{repeats['near_duplicates_test']} test images with another one, {repeats['near_duplicates_between']} test "
        f"images with a training image"
    )
    if len(class_names) == 1:
        say(
            "images of one class: a classifier has nothing to tell apart, and distances are taken between pixels, "
            "unless metrics.spaces names published networks"
        )
