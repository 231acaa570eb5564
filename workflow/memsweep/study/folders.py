"""Which files per image folder, or a zip file of one, holds: names only, no image is opened.

The layout is that of torchvision's ``ImageFolder``: one folder per class, images anywhere below it.
A folder of images without class folders is one class.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
UNLABELLED = "all"


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder or of a zip file.

    Attributes:
        path: the folder or the zip file.
        names: the files, relative to ``path``, sorted by class and name.
        classes: the class of each.
        class_names: the classes, sorted; the single class of a folder without class
            folders is called ``all``.
        left_out: files without an image's suffix.
    """

    path: Path
    names: list[str]
    classes: list[str]
    class_names: list[str]
    left_out: list[str]

    @property
    def is_zip(self) -> bool:
        """Whether ``path`` is a zip file."""
        return self.path.is_file()


def local(path: str) -> Path:
    """A path of the config, with ``~`` for the user's home."""
    return Path(path).expanduser()


def find_images(path: str, key: str) -> ImageFiles:
    """List the images of a folder, or of a zip file of one, in either case without opening them.

    In a zip file, folders around everything else are passed over, so that the classes of
    ``train/cat/1.png`` and ``train/dog/2.png`` are ``cat`` and ``dog``. Hidden files and
    what macOS adds to a zip file are no part of a dataset.

    Args:
        path: as written in the config.
        key: the config's key, for messages.

    Raises:
        UserError: there is no such folder or zip file, it holds no images, a class folder
            holds none, or images lie beside class folders.
    """
    place = local(path)
    try:
        is_zip = place.is_file()
        entries = _in_zip(place) if is_zip else _in_folder(place)
    except FileNotFoundError:
        raise UserError(f"{key}: found {path!r}; there is no such folder or zip file") from None
    except zipfile.BadZipFile as error:
        raise UserError(f"{key}: found {path!r}; not a whole zip file ({error}), nor a folder") from None
    except OSError as error:
        raise UserError(f"{key}: found {path!r}; it cannot be read ({error.strerror})") from None
    visible = [entry for entry in entries if not _is_hidden(entry)]
    files = [entry for entry in visible if not entry.endswith("/")]
    images = [file for file in files if file.lower().endswith(SUFFIXES)]
    if not images:
        raise UserError(f"{key}: found {path!r}; it holds no images (files ending in {', '.join(SUFFIXES)})")
    root = _wrapping_folder(images) if is_zip else ""
    by_class: dict[str, list[str]] = {_class(entry, root): [] for entry in visible if entry.startswith(root)}
    for image in images:
        by_class[_class(image, root)].append(image)
    loose = by_class.pop("", [])
    if loose and by_class:
        raise UserError(
            f"{key}: found {path!r}, where {loose[0]} lies beside class folders such as {min(by_class)}; "
            f"accepted is one folder per class, or images without any folder"
        )
    if loose:
        by_class = {UNLABELLED: loose}
    empty = sorted(name for name, members in by_class.items() if not members)
    if empty:
        raise UserError(
            f"{key}: found {path!r}, whose class folder {empty[0]} holds no images"
            f"{f' (nor do {len(empty) - 1} others)' if len(empty) > 1 else ''}; fill it or remove it"
        )
    class_names = sorted(by_class)
    return ImageFiles(
        path=place,
        names=[image for name in class_names for image in sorted(by_class[name])],
        classes=[name for name in class_names for _ in by_class[name]],
        class_names=class_names,
        left_out=sorted(set(files) - set(images)),
    )


def watched(path: str) -> list[Path]:
    """What to watch for changes: a zip file; or a folder and its class folders.

    The time of a folder changes when a file in it is added, removed or renamed, not when
    one is overwritten in place.
    """
    place = local(path)
    if place.is_file():
        return [place]
    folders = (entry.name for entry in os.scandir(place) if entry.is_dir() and not _is_hidden(entry.name))
    return [place, *(place / name for name in sorted(folders))]


def _in_zip(path: Path) -> list[str]:
    """Names of the files and, ending in a slash, of the folders of a zip file."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _in_folder(path: Path) -> list[str]:
    """Names, relative to it, of the files below a folder and, ending in a slash, of the folders."""
    found = []
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(path / parent) as entries:
            for entry in entries:
                if entry.is_dir():
                    found.append(f"{parent}{entry.name}/")
                    if not _is_hidden(entry.name):
                        waiting.append(found[-1])
                else:
                    found.append(f"{parent}{entry.name}")
    return found


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or "/." in name or "/__MACOSX" in name


def _wrapping_folder(images: Iterable[str]) -> str:
    """The folders around every class folder, such as ``train/``.

    A single folder that holds images itself is a class.
    """
    parents = {image.rpartition("/")[0] for image in images}
    common = os.path.commonpath(parents)
    if common in parents:
        common = common.rpartition("/")[0]
    return f"{common}/" if common else ""


def _class(entry: str, root: str) -> str:
    """The first folder below ``root``; nothing for a file that lies in ``root``."""
    return entry[len(root) :].partition("/")[0] if "/" in entry[len(root) :] else ""
