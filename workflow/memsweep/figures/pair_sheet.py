"""Generated images, each beside the training image it is closest to, the closest pairs first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from . import style

COPY = "#D55E00"
_PAIR, _ROW = 2.3, 1.4  # width and height of a pair with the space around it, in images
_COLUMNS = 6
_EDGE = 0.05  # above the first row, in images
_HEADING = 0.42  # inches above the pairs


@dataclass(frozen=True)
class Pair:
    """A generated image and its nearest training image, (H, W, C) uint8, with d1 / d2 and whether it is a copy."""

    generated: np.ndarray
    nearest: np.ndarray
    ratio: float
    is_copy: bool


def draw(pairs: Sequence[Pair], title: str, copy: str) -> Figure:
    """A sheet of pairs in the order given, row by row.

    Args:
        pairs: at least one.
        title: above the sheet.
        copy: what a frame means.
    """
    height, width, _ = pairs[0].generated.shape
    aspect = height / width
    rows = -(-len(pairs) // _COLUMNS)
    cell = style.WIDTH / (_PAIR * _COLUMNS)
    tall = cell * (aspect + _ROW - 1) * rows + _HEADING
    with style.styled():
        figure = Figure(figsize=(style.WIDTH, tall))
        ax = figure.add_axes((0, 0, 1, 1 - _HEADING / tall))
        for number, pair in enumerate(pairs):
            row, column = divmod(number, _COLUMNS)
            _draw_pair(ax, column * _PAIR + (_PAIR - 2) / 2, row * (aspect + _ROW - 1), aspect, pair)
        ax.set(xlim=(0, _PAIR * _COLUMNS), ylim=(rows * (aspect + _ROW - 1) - _EDGE, -_EDGE), aspect="equal")
        ax.axis("off")
        left = (_PAIR - 2) / 2 * cell / style.WIDTH
        figure.text(left, 1 - 0.07 / tall, title, va="top", size=8.5)
        figure.text(left, 1 - 0.24 / tall, copy, va="top", size=7.5, color=style.INK)
    return figure


def _draw_pair(ax: Axes, left: float, top: float, aspect: float, pair: Pair) -> None:
    for image, start in ((pair.generated, left), (pair.nearest, left + 1)):
        shown = image[..., 0] if image.shape[-1] == 1 else image
        extent = (start + 0.02, start + 0.98, top + aspect, top)
        ax.imshow(shown, extent=extent, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    if pair.is_copy:
        frame = Rectangle((left, top - 0.02), 2, aspect + 0.04, fill=False, edgecolor=COPY, linewidth=1.3)
        ax.add_patch(frame)
    ax.text(left + 1, top + aspect + 0.06, f"{pair.ratio:.2f}", ha="center", va="top", size=6.5, color="0.35")
