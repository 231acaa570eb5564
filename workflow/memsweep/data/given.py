"""Images as anybody has them: a folder or zip file of pictures, or an array that another trainer wrote."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..base.errors import UserError
from ..study.folders import ImageFiles, find_images
from ..study.listing import local, reader
from .conversion import Report, convert_arrays, read_pictures

# Changes of `conversion.convert` after which pictures are no longer those of the file
_RESHAPED = ("cropped to the central square", "reduced", "enlarged")
_FROM_GREY = tuple(f"from mode {mode}" for mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"))

_FORMS = "(n, H, W), (n, H, W, C) or (n, C, H, W) with C of 1 or 3"

# Values of floats that reach neither half of their range leave it open which range that is
_HALF = 0.5


@dataclass(frozen=True)
class Given:
    """A set of images.

    Attributes:
        role: what they are to the one who gave them, for sentences.
        images: (n, H, W, C) uint8, C being 1 for grey and 3 for RGB.
        names: of each, its file or row.
        remarks: what was done to them or left out, in sentences.
    """

    role: str
    images: np.ndarray
    names: Sequence[str]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> str:
        """Size and colours, for sentences."""
        _, height, width, channels = self.images.shape
        return f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"


def read_given(source: str | Path | np.ndarray, role: str, size: int | None = None) -> Given:
    """Read a set of images.

    Args:
        source: a folder or zip file of pictures, laid out as any dataset (`study.folders`), of two splits those to
            train on; an ``.npy`` or ``.npz`` file; or an array.
        role: what to call them in sentences.
        size: height and width to which their central squares are resized; None where they are to stay as they are, and
            so are of one size.

    Raises:
        UserError: there is no such file or folder, it is damaged, its images are of several sizes or not square, or it
            is no array of images whose values are sure; one sentence says which.
    """
    if isinstance(source, np.ndarray):
        given = _of_array(source, role, role)
    elif local(str(source)).suffix.lower() in (".npy", ".npz") and not local(str(source)).is_dir():
        given = _of_array(_load(local(str(source)), role), role, f"{role}: found {str(source)!r}")
    else:
        return _of_pictures(find_images(str(source), role), role, size)
    if size is None:
        return given
    pixels, report = convert_arrays(given.images, size, "grey" if given.images.shape[-1] == 1 else "rgb")
    return replace(given, images=pixels, remarks=_remarks(role, report))


def _of_pictures(files: ImageFiles, role: str, size: int | None) -> Given:
    """All pictures of a folder or zip file, grey where each of them is stored so."""
    pixels, report = read_pictures(files, size or _first_size(files), "rgb")
    reshaped = [change for change in _RESHAPED if report.changes[change]]
    if size is None and reshaped:
        raise UserError(
            f"{role}: found images of several sizes, or not square, at {str(files.path)!r} (to be "
            f"{len(pixels[0])}x{len(pixels[0])} as the first, {report.changes[reshaped[0]]} would be {reshaped[0]}); "
            f"accepted are squares of one size, or a size that all are to be brought to (--size)"
        )
    if sum(report.changes[change] for change in _FROM_GREY) == len(pixels):
        pixels = pixels[..., :1]
        report = replace(report, changes=report.changes.copy())
        for change in _FROM_GREY:
            del report.changes[change]
    left_out = [f"{role}: {len(files.left_out)} files left out, such as {files.left_out[0]}"] if files.left_out else []
    return Given(role, pixels, files.names, (*_remarks(role, report), *left_out))


def _first_size(files: ImageFiles) -> int:
    """The shorter side of the first picture; 1 where it is none, which reading it will say."""
    try:
        with reader(files.listing) as read, Image.open(io.BytesIO(read(files.names[0]))) as picture:
            return max(1, min(picture.size))
    except Exception:  # Pillow and zipfile raise whatever the damaged bytes lead to
        return 1


def _remarks(role: str, report: Report) -> tuple[str, ...]:
    return (f"{role}: {report}",) if report.changes else ()


def _load(path: Path, role: str) -> np.ndarray:
    """The array of an ``.npy`` file, or of an ``.npz`` file its first or only one; none that would run code."""
    told = f"{role}: found {str(path)!r}"
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            name = "arr_0" if "arr_0" in loaded.files else (loaded.files[0] if len(loaded.files) == 1 else "")
            if not name:
                raise UserError(
                    f"{told}, which holds {', '.join(loaded.files) or 'nothing'}; accepted is arr_0, or one array"
                )
            array: np.ndarray = loaded[name]
            return array
    except FileNotFoundError:
        raise UserError(f"{told}; there is no such file") from None
    except UserError:
        raise
    except Exception as error:  # numpy and zipfile raise whatever the damaged bytes lead to
        reason = " ".join(str(error).split()) or type(error).__name__
        if "allow_pickle" in reason:
            reason = "it holds Python objects, which could do anything on this machine, or nothing that numpy knows"
        raise UserError(f"{told}, which is no array of images ({reason[:200]})") from None


def _of_array(array: np.ndarray, role: str, told: str) -> Given:
    """An array as images: (n, H, W), (n, H, W, C) or (n, C, H, W), C being 1 or 3."""
    found = f"{told}, an array of {array.dtype} of shape {array.shape}"
    is_grey = array.ndim == 3
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{found}; accepted are images, {_FORMS}")
    if is_grey:
        array = array[..., None]
    first, last = not is_grey and array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if first == last:
        reason = "either side may be the channels" if first else "no side is of 1 or 3 channels"
        raise UserError(f"{found}, where {reason}; accepted are {_FORMS}")
    images = _to_bytes(array, found)
    names = [f"row {row}" for row in range(len(images))]
    return Given(role, np.ascontiguousarray(images if last else images.transpose(0, 2, 3, 1)), names)


def _to_bytes(array: np.ndarray, found: str) -> np.ndarray:
    """Values as uint8, where it is sure of what range they are.

    Floats from 0 to 1 are told from those from -1 to 1 by values below -1/2: images in the latter range have some, and
    no rounding takes images in the former there.
    """
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{found}; accepted are uint8, or floats from 0 to 1 or from -1 to 1")
    low, high = float(array.min()), float(array.max())  # NaN where there is one
    if low >= 0 and _HALF < high <= 1:
        offset, scale = np.float32(0), np.float32(255)
    elif -1 <= low < -_HALF and _HALF < high <= 1:
        offset, scale = np.float32(1), np.float32(127.5)
    else:
        raise UserError(
            f"{found} with values from {low:.4g} to {high:.4g}; accepted are uint8, or floats from 0 to 1 or from -1 "
            f"to 1 that reach into the outer half of their range"
        )
    images = np.empty(array.shape, np.uint8)
    for image, out in zip(array, images, strict=True):
        out[:] = ((image.astype(np.float32) + offset) * scale).round()
    return images


def alike(sets: Sequence[Given]) -> list[Given]:
    """The sets, once they are of one size and of the same colours.

    Grey images that were saved as RGB, all channels equal, are grey where those of another set are.

    Raises:
        UserError: they differ.
    """
    if any(each.images.shape[-1] == 1 for each in sets):
        sets = [_grey(each) for each in sets]
    for other in sets[1:]:
        if other.images.shape[1:] != sets[0].images.shape[1:]:
            size = "" if other.images.shape[1:3] == sets[0].images.shape[1:3] else ", or one --size for all"
            raise UserError(
                f"{other.role}: found images of {other.shape}, where {sets[0].role} has {sets[0].shape}; accepted are "
                f"images of one size and the same colours{size}"
            )
    return list(sets)


def check_count(given: Given, count: int, kind: str = "images") -> None:
    """That there are enough images to compare; ``count`` of a set are of a kind.

    Raises:
        UserError: there are fewer than 2.
    """
    if count < 2:
        raise UserError(f"{given.role}: found {count} {kind}; accepted are at least 2")


def _grey(given: Given) -> Given:
    first = given.images[..., :1]
    if given.images.shape[-1] == 1 or not np.array_equal(given.images, np.broadcast_to(first, given.images.shape)):
        return given
    remark = f"{given.role}: RGB images whose channels are equal, taken as grey"
    return replace(given, images=np.ascontiguousarray(first), remarks=(*given.remarks, remark))
