"""Images in hand: those that a run generates, and the training images that they are nearest to."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..base.errors import UserError
from ..base.files import new_folder, replacing

# Of a sheet: pixels between images, their shade, and the least height at which they are shown
_GAP, _SHADE, _HEIGHT = 2, 160, 48
_FILES = (".png", ".npz")


@dataclass(frozen=True)
class Samples:
    """Images that a run generated.

    Attributes:
        run_id: of the run.
        step: of its weights.
        images: (n, H, W, C) uint8, C being 1 for grey and 3 for RGB.
        labels: the class of each, (n,) int64; None where the model is unconditional.
    """

    run_id: str
    step: int
    images: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.images)

    def save(self, path: str | Path) -> None:
        """Write the images, whole or not at all.

        Args:
            path: ``.png`` for all of them on one sheet; ``.npz`` for the arrays ``arr_0``, the images, and ``labels``;
                a new folder for a picture each, below folders of their classes. `memsweep compare` reads the last two.

        Raises:
            UserError: another kind of file, or a folder that is there.
        """
        path = Path(path)
        check_output(path)
        if path.suffix.lower() == ".png":
            with replacing(path) as temporary:
                sheet(self.images).save(temporary, format="png")
        elif path.suffix.lower() == ".npz":
            labels: dict[str, Any] = {} if self.labels is None else {"labels": self.labels}
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, self.images, **labels)
        else:
            self._save_pictures(path)

    def _save_pictures(self, folder: Path) -> None:
        with new_folder(folder) as temporary:
            for index, image in enumerate(self.images):
                place = temporary if self.labels is None else temporary / str(self.labels[index])
                place.mkdir(exist_ok=True)
                _picture(image).save(place / f"{index:05d}.png")

    def _repr_png_(self) -> bytes:
        """As notebooks show it: a sheet of all images."""
        file = io.BytesIO()
        sheet(self.images).save(file, format="png")
        return file.getvalue()

    def __repr__(self) -> str:
        labels = "no labels" if self.labels is None else f"labels {', '.join(map(str, np.unique(self.labels)))}"
        return f"<{len(self)} samples of run {self.run_id} at step {self.step}: {_described(self.images)}, {labels}>"


@dataclass(frozen=True)
class Nearest:
    """Samples, each beside the training image that it is nearest to.

    Attributes:
        samples: what was generated, n images.
        images: the training images, (n, H, W, C) uint8.
        rows: their places among the training images of the dataset, (n,) int64.
        distance: d1, from each sample to its training image: L2, of pixel values in [0, 1], (n,).
        second_distance: d2, to the second nearest one; a sample is a copy where d1 / d2 is small, (n,).
    """

    samples: Samples
    images: np.ndarray
    rows: np.ndarray
    distance: np.ndarray
    second_distance: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def _repr_png_(self) -> bytes:
        """As notebooks show it: samples and, below each row of them, their training images."""
        file = io.BytesIO()
        sheet(self.samples.images, self.images).save(file, format="png")
        return file.getvalue()

    def __repr__(self) -> str:
        samples = f"{len(self)} samples of run {self.samples.run_id} at step {self.samples.step}"
        low, middle, high = np.quantile(self.distance / self.second_distance, [0, 0.5, 1])
        return f"<{samples} beside their nearest training images: d1/d2 from {low:.2g} over {middle:.2g} to {high:.2g}>"


def check_output(path: Path) -> None:
    """That images can be written to a path; errors as of `Samples.save`."""
    if path.suffix.lower() not in (*_FILES, ""):
        raise UserError(f"output: found {str(path)!r}; accepted is a .png, a .npz or a folder")
    if not path.suffix and path.exists():
        raise UserError(f"output: {str(path)!r} is there already; accepted is a folder that is not")


def sheet(images: np.ndarray, below: np.ndarray | None = None) -> Image.Image:
    """Images in rows, about as many as columns, enlarged until they can be seen.

    Args:
        images: (n, H, W, C) uint8.
        below: as many others, each shown below its own.
    """
    columns = max(1, math.ceil(math.sqrt(len(images))))
    rows = math.ceil(len(images) / columns)
    kinds = [images] if below is None else [images, below]
    apart = _GAP if below is None else 3 * _GAP  # rows of pairs
    factor = max(1, math.ceil(_HEIGHT / images.shape[1]))
    height, width, channels = (factor * images.shape[1], factor * images.shape[2], images.shape[3])
    pitch = len(kinds) * (height + _GAP) - _GAP + apart
    canvas = np.full((rows * pitch + apart, columns * (width + _GAP) + _GAP, channels), _SHADE, np.uint8)
    for kind, stack in enumerate(kinds):
        for index, image in enumerate(stack.repeat(factor, axis=1).repeat(factor, axis=2)):
            row, column = divmod(index, columns)
            top, left = row * pitch + kind * (height + _GAP) + apart, column * (width + _GAP) + _GAP
            canvas[top : top + height, left : left + width] = image
    return _picture(canvas)


def _picture(image: np.ndarray) -> Image.Image:
    """An image (H, W, C) of one or three channels."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _described(images: np.ndarray) -> str:
    height, width, channels = images.shape[1:]
    return f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"
