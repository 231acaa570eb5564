"""Pictures of any size, mode and file format, as arrays of one shape."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..base.errors import UserError
from ..study.catalogue import CHANNELS
from ..study.folders import ImageFiles

THREADS = min(8, os.cpu_count() or 1)  # decoding and resizing release Python's lock
_SHOWN = 5
_ORIENTATION = 0x0112  # tag of EXIF


Reader = Callable[[str], bytes]


@dataclass
class Report:
    """What had to be done to images, with the number of images each was done to."""

    images: int = 0
    changes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        done = ", ".join(f"{change}: {count}" for change, count in sorted(self.changes.items()))
        return f"{self.images} images converted ({done})" if done else f"{self.images} images as stored"


def read_pictures(files: ImageFiles, size: int, mode: str) -> tuple[np.ndarray, Report]:
    """Decode and convert the images of a folder or zip file.

    Args:
        files: which.
        size: height and width of the result, pixels.
        mode: ``grey`` or ``rgb``.

    Returns:
        Images (n, size, size, C) uint8 in the order of ``files``, and what was converted.

    Raises:
        UserError: a file is no image, or a damaged one; the sentence names it.
    """
    pixels = np.empty((len(files.names), size, size, CHANNELS[mode]), np.uint8)
    report, failures = Report(len(files.names)), []
    with _reader(files) as read, ThreadPoolExecutor(THREADS) as threads:
        outcomes = threads.map(lambda name, out: _attempt(read, name, out, mode), files.names, pixels)
        for name, outcome in zip(files.names, outcomes, strict=True):
            if isinstance(outcome, str):
                failures.append(f"{files.path}: {name}: {outcome}")
            else:
                report.changes.update(outcome)
    if failures:
        more = [f"... and {len(failures) - _SHOWN} other files"] if len(failures) > _SHOWN else []
        raise UserError("\n".join(failures[:_SHOWN] + more))
    return pixels, report


def convert_arrays(images: np.ndarray, size: int, mode: str) -> tuple[np.ndarray, Report]:
    """Convert images in memory, (n, H, W, 1 or 3) uint8, as `read_pictures` does files."""
    pixels = np.empty((len(images), size, size, CHANNELS[mode]), np.uint8)
    report = Report(len(images))
    for index, image in enumerate(images):
        pixels[index], changes = convert(
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), size, mode
        )
        report.changes.update(changes)
    return pixels, report


def convert(picture: Image.Image, size: int, mode: str) -> tuple[np.ndarray, list[str]]:
    """One picture as an array: upright, grey or RGB, its central square resized to ``size``.

    Orientation follows EXIF; transparent parts are laid on white; 16-bit grey becomes
    8-bit; grey is ITU-R 601-2 luma; the filter is Lanczos with antialiasing. A picture
    that already has the size and mode keeps its pixels.

    Returns:
        (size, size, C) uint8, and the changes made.

    Raises:
        ValueError: the pixels have no agreed range or no conversion.
    """
    changes = []
    wanted = "L" if mode == "grey" else "RGB"
    turned = picture
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        turned = ImageOps.exif_transpose(picture)
        changes.append("turned upright")
    if picture.mode != wanted:
        changes.append(f"from mode {picture.mode}")
    opaque, laid_on_white = _opaque(_eight_bits(turned, picture.format))
    if laid_on_white:
        changes.append("transparent parts laid on white")
    coloured = opaque.convert(wanted)
    if coloured.width != coloured.height:
        changes.append("cropped to the central square")
    if min(coloured.size) != size:
        changes.append("reduced" if min(coloured.size) > size else "enlarged")
    if coloured.size != (size, size):
        coloured = ImageOps.fit(coloured, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(coloured).reshape(size, size, CHANNELS[mode]), changes


def _eight_bits(picture: Image.Image, file_format: str | None) -> Image.Image:
    """A picture with 8 bits a channel."""
    # Pillow reads PGM of 16 bits as 32, spread over 0 ... 65535
    if picture.mode.startswith("I;16") or (picture.mode == "I" and file_format in ("PNG", "PPM")):
        return Image.fromarray(np.round(np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no agreed white; accepted are 8 or 16 bits a channel")
    return picture


def _opaque(picture: Image.Image) -> tuple[Image.Image, bool]:
    """A picture without transparency, and whether it had any."""
    if not picture.has_transparency_data:
        return picture, False
    layered = picture.convert("RGBA")
    lowest = layered.getchannel("A").getextrema()[0]
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered), lowest != 255


def _attempt(read: Reader, name: str, out: np.ndarray, mode: str) -> list[str] | str:
    """Convert a file into ``out``; the changes made, or why it was not possible."""
    try:
        with Image.open(io.BytesIO(read(name))) as picture:
            picture.load()
            out[:], changes = convert(picture, len(out), mode)
            return changes
    except UnidentifiedImageError:
        return "not an image that Pillow can read; replace it or remove it"
    except Exception as error:  # Pillow and zipfile raise whatever the damaged bytes lead to
        return f"cannot be read as an image ({' '.join(str(error).split())}); replace it or remove it"


@contextmanager
def _reader(files: ImageFiles) -> Iterator[Reader]:
    if files.is_zip:
        with zipfile.ZipFile(files.path) as archive:
            yield archive.read
    else:
        yield lambda name: Path(files.path, name).read_bytes()
