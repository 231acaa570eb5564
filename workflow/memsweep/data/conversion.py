"""Pictures of any size, mode and file format, as arrays of one shape."""

from __future__ import annotations

import functools
import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..base.errors import UserError
from ..study.catalogue import CHANNELS
from ..study.folders import ImageFiles
from ..study.listing import Reader, reader

THREADS = min(8, os.cpu_count() or 1)  # decoding and resizing release Python's lock
_SHOWN = 100  # of files that cannot be read

# Tags of EXIF and of TIFF
_ORIENTATION = 0x0112
_BITS = 0x0102
_PHOTOMETRIC, _WHITE_IS_ZERO = 0x0106, 0


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
        UserError: some files are no images, are damaged or hold several; a sentence names each, of very many the first.
    """
    pixels = np.empty((len(files.names), size, size, CHANNELS[mode]), np.uint8)
    report, failures = Report(len(files.names)), []
    with reader(files.listing) as read, ThreadPoolExecutor(THREADS) as threads:
        outcomes = threads.map(lambda name, out: _attempt(read, name, out, mode), files.names, pixels)
        for name, outcome in zip(files.names, outcomes, strict=True):
            if isinstance(outcome, str):
                failures.append(f"{files.path}: {name}: {outcome}")
            else:
                report.changes.update(outcome)
    if failures:
        more = [f"... and {len(failures) - _SHOWN} other files"] if len(failures) > _SHOWN else []
        count = [f"{files.path}: {len(failures)} of {len(files.names)} images cannot be used"] if failures[1:] else []
        raise UserError("\n".join(failures[:_SHOWN] + more + count))
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

    Orientation follows EXIF; transparent parts are laid on white; 12- and 16-bit grey
    becomes 8-bit; grey is ITU-R 601-2 luma; the filter is Lanczos with antialiasing. A
    picture that already has the size and mode keeps its pixels. Of a photograph that brings
    smaller versions of itself along (MPO), the first is taken.

    Returns:
        (size, size, C) uint8, and the changes made.

    Raises:
        ValueError: the file holds several pictures, or its pixels have no agreed range or no conversion.
    """
    _spread_transparent_grey(picture)
    changes = []
    wanted = "L" if mode == "grey" else "RGB"
    pictures = getattr(picture, "n_frames", 1)
    if pictures > 1:
        if picture.format != "MPO":
            raise ValueError(f"holds {pictures} pictures, frames or pages; accepted is one a file")
        changes.append("the first of several in a file")
    is_turned = picture.getexif().get(_ORIENTATION, 1) != 1
    picture.load()  # by which Pillow turns a TIFF itself
    turned = ImageOps.exif_transpose(picture) if is_turned else picture
    if is_turned:
        changes.append("turned upright")
    if picture.mode != wanted:
        changes.append(f"from mode {picture.mode}")
    opaque, laid_on_white = _opaque(_eight_bits(turned, picture))
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


def _spread_transparent_grey(picture: Image.Image) -> None:
    """Put the transparent value of a grey PNG of 2 or 4 bits on the scale of its pixels, 0 ... 255.

    Pillow spreads the pixels when it loads them, and leaves the value as the file has it.
    """
    tile = getattr(picture, "tile", None)
    step = {"L;2": 85, "L;4": 17}.get(tile[0].args, 0) if picture.format == "PNG" and tile else 0
    if step and "transparency" in picture.info:
        picture.info["transparency"] *= step


def _eight_bits(picture: Image.Image, stored: Image.Image) -> Image.Image:
    """A picture with 8 bits a channel.

    Args:
        picture: turned upright, with which it may have lost what its file said.
        stored: as it was opened.

    Raises:
        ValueError: its pixels have no agreed range.
    """
    # Pillow reads PGM of 16 bits as 32, spread over 0 ... 65535
    if picture.mode.startswith("I;16") or (picture.mode == "I" and stored.format in ("PNG", "PPM")):
        tags = getattr(stored, "tag_v2", {})
        white = 2 ** min(tags.get(_BITS, (16,))) - 1
        deep = np.asarray(picture)
        grey = np.round(deep / (white / 255)).clip(0, 255).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey = 255 - grey
        if "transparency" not in stored.info:
            return Image.fromarray(grey)
        alpha = np.where(deep == stored.info["transparency"], 0, 255).astype(np.uint8)
        return Image.fromarray(np.stack([grey, alpha], axis=-1))
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


@functools.cache
def _formats() -> list[str]:
    """What Pillow reads, but for PostScript, a program that it would have another one run."""
    Image.init()
    return [name for name in Image.ID if name != "EPS"]


def _attempt(read: Reader, name: str, out: np.ndarray, mode: str) -> list[str] | str:
    """Convert a file into ``out``; the changes made, or why it was not possible."""
    try:
        with Image.open(io.BytesIO(read(name)), formats=_formats()) as picture:
            out[:], changes = convert(picture, len(out), mode)
            return changes
    except UnidentifiedImageError:
        return "not an image that Pillow can read; replace it or remove it"
    except Exception as error:  # Pillow and zipfile raise whatever the damaged bytes lead to
        return f"cannot be read as an image ({' '.join(str(error).split())}); replace it or remove it"
