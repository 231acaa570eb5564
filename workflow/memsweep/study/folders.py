"""Which files per class image folders, or zip files of them, hold: names only, no image is opened.

The layout is that of torchvision's ``ImageFolder``: one folder per class, images anywhere below it. A folder of images
without class folders is one class. Folders called ``train`` and ``test`` are splits, and a ``dataset.json``, as EDM and
StyleGAN pack it, says the classes itself.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from .listing import Listing, composed, list_files, reader

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
UNLABELLED = "all"
LABELS = "dataset.json"

# What folders of splits are called, in any case; without one to test on, that to validate on is held out
TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")

_THUMB = "thumb(?:nail)?s?"
_THUMB_FILE = re.compile(f"(?:{_THUMB}[-_. ])?(.+?)(?:[-_. ]{_THUMB})?", re.IGNORECASE)
_THUMB_FOLDER = re.compile(_THUMB, re.IGNORECASE)


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder or of a zip file, or of one of its splits.

    Attributes:
        listing: of all that lies there.
        names: the images, as the listing names them, sorted by class and name.
        classes: the class of each.
        class_names: the classes, sorted; the single class of a folder without class
            folders is called ``all``.
        left_out: files without an image's suffix, and images of a split that is not used.
        skipped: hidden files and folders, those of systems, and thumbnails of other images.
        labels: the file that says the classes, if one does.
    """

    listing: Listing
    names: list[str]
    classes: list[str]
    class_names: list[str]
    left_out: list[str]
    skipped: list[str]
    labels: str = ""

    @property
    def path(self) -> Path:
        """The folder or the zip file."""
        return self.listing.path


def find_images(path: str, key: str) -> ImageFiles:
    """List the images of a folder, or of a zip file of one; of several splits, those to train on.

    Args and errors are those of `find_splits`: ``path`` is written at ``key`` in the config.
    """
    return _find_parts(path, key)["train"]


def find_splits(dataset: Mapping[str, Any]) -> dict[str, ImageFiles]:
    """List the images of a dataset in the user's own folders, in either form without opening them.

    In a zip file, folders around everything else are passed over, so that the classes of ``photos/cat/1.png`` and
    ``photos/dog/2.png`` are ``cat`` and ``dog``. Where training and held-out images have one class each, it is the
    same, whatever its folders are called.

    Args:
        dataset: the config's ``dataset``, with ``path`` and perhaps ``test_path``.

    Returns:
        ``train`` and, where held-out images lie apart, ``test``, whose classes are some of those of ``train``.

    Raises:
        UserError: there is no such folder or zip file, or it is not laid out as one; the sentence says what lies where.
    """
    parts = _find_parts(dataset["path"], "dataset.path")
    if "test_path" in dataset:
        if "test" in parts:
            raise UserError(
                f"dataset.test_path: found {dataset['test_path']!r}, where dataset.path holds held-out images of its "
                f"own ({parts['test'].names[0]}); accepted is one of the two"
            )
        apart = _find_parts(dataset["test_path"], "dataset.test_path")
        parts["test"] = apart.get("test", apart["train"])
    if "test" in parts:
        parts["test"] = _in_classes_of(parts["train"], parts["test"], dataset)
    return parts


def _in_classes_of(train: ImageFiles, test: ImageFiles, dataset: Mapping[str, Any]) -> ImageFiles:
    """Held-out images, once each is of a class that there are training images of."""
    if len(train.class_names) == len(test.class_names) == 1:
        return replace(test, classes=train.class_names * len(test.names), class_names=train.class_names)
    unknown = sorted(set(test.class_names) - set(train.class_names))
    if unknown:
        accepted = f"{', '.join(train.class_names[:10])}{', ...' if len(train.class_names) > 10 else ''}"
        key = "test_path" if "test_path" in dataset else "path"
        lacking = "dataset.path lacks" if key == "test_path" else "its training images lack"
        raise UserError(
            f"dataset.{key}: found class {unknown[0]}, which {lacking}; accepted are its classes, {accepted}"
        )
    return test


def _find_parts(path: str, key: str) -> dict[str, ImageFiles]:
    """The images of a place by split: ``train``, and ``test`` where there are folders of both names."""
    listing = list_files(path, key)
    named = [name for name in listing.stored if name.lower().endswith(SUFFIXES)]
    thumbnails = _thumbnails(named)
    images = [name for name in named if name not in thumbnails]
    if not images:
        raise UserError(f"{key}: found {path!r}; it holds no images (files ending in {', '.join(SUFFIXES)})")
    roots = _split_folders(images, _wrapping_folder(images) if listing.is_zip else "")
    found = _Found(f"{key}: found {path!r}", listing, images, sorted(thumbnails))
    parts = {"train": found.below(roots["train"], around="", apart=roots.get("test", ""))}
    if "test" in roots:
        parts["test"] = found.below(roots["test"], around=roots["test"], apart="")
    return parts


@dataclass(frozen=True)
class _Found:
    """What was found in one place.

    Attributes:
        told: the beginning of a sentence about it.
        listing: of all that lies there.
        images: their names.
        thumbnails: names of images that are small copies of others.
    """

    told: str
    listing: Listing
    images: list[str]
    thumbnails: list[str]

    def below(self, root: str, around: str, apart: str) -> ImageFiles:
        """The images of a split, by class.

        Args:
            root: the folder in which they lie.
            around: the folder whose other files count as left out of this split.
            apart: the folder of another split, which is none of it; nothing where there is none.
        """

        def own(names: Iterable[str]) -> set[str]:
            return {name for name in names if name.startswith(around) and not (apart and name.startswith(apart))}

        images = [name for name in self.images if name.startswith(root)]
        labels = _label_file(self.listing, images, root)
        said = self._read_labels(labels) if labels else None
        if said is None:
            labels, by_class = "", self._by_folder(images, root)
            class_names = sorted(by_class)
        else:
            by_class = self._by_label(images, said, labels)
            class_names = sorted(by_class, key=lambda name: (len(name), name))  # numbers, by their size
        return ImageFiles(
            listing=self.listing,
            names=[image for name in class_names for image in sorted(by_class[name])],
            classes=[name for name in class_names for _ in by_class[name]],
            class_names=class_names,
            left_out=sorted(own(self.listing.stored) - {*images, *self.thumbnails, labels}),
            skipped=sorted(own([*self.listing.skipped, *self.thumbnails])),
            labels=labels,
        )

    def _by_folder(self, images: list[str], root: str) -> dict[str, list[str]]:
        """The images of each folder below ``root``."""
        entries = [name for name in [*self.listing.folders, *self.listing.stored] if name.startswith(root)]
        by_class: dict[str, list[str]] = {_class(entry, root): [] for entry in entries}
        for image in images:
            by_class[_class(image, root)].append(image)
        loose = by_class.pop("", [])
        if loose and by_class:
            raise UserError(
                f"{self.told}, where {loose[0]} lies beside class folders such as {min(by_class)}; "
                f"accepted is one folder per class, or images without any folder"
            )
        if loose:
            return {UNLABELLED: loose}
        empty = sorted(name for name, members in by_class.items() if not members)
        if empty:
            raise UserError(
                f"{self.told}, whose class folder {empty[0]} holds no images"
                f"{f' (nor do {len(empty) - 1} others)' if len(empty) > 1 else ''}; fill it or remove it"
            )
        for name in by_class:
            if not _is_unicode(name):
                raise UserError(f"{self.told}, whose class folder {os.fsencode(name)!r} has a name that is not UTF-8")
        return by_class

    def _read_labels(self, name: str) -> dict[str, str] | None:
        """The class of each image that a file of labels names; None where it holds no labels at all.

        Raises:
            UserError: it is not what EDM and StyleGAN write.
        """
        try:
            with reader(self.listing) as read:
                content = json.loads(read(name))
        except Exception as error:  # zipfile raises whatever the damaged bytes lead to
            raise UserError(f"{self.told}, whose {name} is not JSON ({' '.join(str(error).split())})") from None
        if not isinstance(content, Mapping) or "labels" not in content:
            return None
        folder = name.removesuffix(LABELS)
        if content["labels"] is None:
            return {image: UNLABELLED for image in self.images if image.startswith(folder)}
        said: dict[str, str] = {}
        pairs = content["labels"] if isinstance(content["labels"], list) else [None]
        for pair in pairs:
            match pair:
                case [str(image), int(label)] if not isinstance(label, bool) and label >= 0:
                    image = folder + composed(image).replace("\\", "/").removeprefix("./")
                case _:
                    raise UserError(
                        f"{self.told}, whose {name} holds the label {json.dumps(pair)[:80]}; accepted are a file's "
                        f'name and the number of its class, from 0, such as ["00000/img00000000.png", 3]'
                    )
            if said.setdefault(image, str(label)) != str(label):
                raise UserError(f"{self.told}, whose {name} gives {image} two labels; accepted is one")
        return said

    def _by_label(self, images: list[str], said: Mapping[str, str], labels: str) -> dict[str, list[str]]:
        """The images of each class that a file of labels says."""
        without = [image for image in images if image not in said]
        missing = sorted(set(said) - set(images))
        for name, lacks in ((without, f"to which {labels} gives no label"), (missing, f"which {labels} names")):
            if name:
                there = "holds" if name is without else "lacks"
                raise UserError(f"{self.told}, which {there} {name[0]}, {lacks}; accepted is one label for each image")
        by_class: dict[str, list[str]] = {}
        for image in images:
            by_class.setdefault(said[image], []).append(image)
        return by_class


def _is_unicode(name: str) -> bool:
    """Whether a name is text: Python writes bytes of a name that are not UTF-8 as halves of letters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _label_file(listing: Listing, images: Iterable[str], root: str) -> str:
    """The file that says the classes of the images below a folder, in it or beside them; nothing without one."""
    common = os.path.commonpath({image.rpartition("/")[0] for image in images})
    places = (f"{root}{LABELS}", f"{common}/{LABELS}")
    return next((place for place in places if place in listing.stored), "")


def _thumbnails(images: Iterable[str]) -> set[str]:
    """Images that are small copies of others, by their names.

    A copy of ``1.png`` is called ``1_thumb.jpg``, ``thumb-1.png`` or the like, or lies as ``thumbs/1.jpg`` in a folder
    beside it. Without the other image, such a name is as good as any.
    """
    places = {(folder, stem) for folder, _, file in (name.rpartition("/") for name in images) for stem in _stems(file)}
    found = set()
    for name in images:
        folder, _, file = name.rpartition("/")
        around, _, last = folder.rpartition("/")
        is_below = _THUMB_FOLDER.fullmatch(last) and any((around, stem) in places for stem in _stems(file))
        original = _THUMB_FILE.fullmatch(file.rpartition(".")[0])
        if is_below or (original and file.rpartition(".")[0] != original[1] and (folder, original[1]) in places):
            found.add(name)
    return found


def _stems(file: str) -> tuple[str, str]:
    """What a thumbnail may take over of a file's name: all of it, or all but the suffix."""
    return file, file.rpartition(".")[0]


def _split_folders(images: Iterable[str], root: str) -> dict[str, str]:
    """The folders of the splits, where ``root`` holds folders with names of splits alone; else ``root`` itself."""
    tops = {_class(image, root) for image in images}
    roles = {split: [top for top in tops if top.lower() in names] for split, names in _SPLITS.items()}
    are_splits = sum(map(len, roles.values())) == len(tops) and all(len(found) < 2 for found in roles.values())
    if not are_splits or not roles["train"]:
        return {"train": root}
    train = f"{root}{roles['train'][0]}/"
    held_out = roles["test"] or roles["validation"]
    if held_out:
        return {"train": train, "test": f"{root}{held_out[0]}/"}
    # One folder called train that holds images itself is as good a class as any
    is_class = all(image.startswith(train) and "/" not in image[len(train) :] for image in images)
    return {"train": root if is_class else train}


_SPLITS = {"train": TRAIN, "test": TEST, "validation": VALIDATION}


def _wrapping_folder(images: Iterable[str]) -> str:
    """The folders around every class folder, such as ``photos/``.

    A single folder that holds nothing but images is a class; images beside folders in it are refused later.
    """
    parents = {image.rpartition("/")[0] for image in images}
    common = os.path.commonpath(parents)
    if parents == {common}:
        common = common.rpartition("/")[0]
    return f"{common}/" if common else ""


def _class(entry: str, root: str) -> str:
    """The first folder below ``root``; nothing for a file that lies in ``root``."""
    return entry[len(root) :].partition("/")[0] if "/" in entry[len(root) :] else ""
