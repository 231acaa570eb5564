"""Which words a figure draws, where and how large, and what keeps them from being read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_TOUCHING = 0.5  # points by which boxes, which have a rim around their letters, may overlap


@dataclass(frozen=True)
class Words:
    """Words as drawn: their size in points, their box in points from the lower left corner, and their slant."""

    text: str
    size: float
    box: Bbox
    rotation: float


def drawn_words(figure: Figure) -> list[Words]:
    """Every word that is really drawn: hidden ones, and ticks outside of a panel, are not."""
    found: list[Text] = []

    def recording(self: Text, renderer: object) -> None:
        if self.get_visible() and self.get_text().strip():
            found.append(self)

    figure.draw_without_rendering()  # settles the layout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", recording)
        figure.draw_without_rendering()
    scale = 72 / figure.dpi
    return [
        Words(
            text.get_text(), text.get_fontsize(), _scaled(text.get_window_extent(), scale), float(text.get_rotation())
        )
        for text in found
    ]


def _scaled(box: Bbox, scale: float) -> Bbox:
    return Bbox(box.get_points() * scale)


def faults(figure: Figure, smallest: float = 6.0) -> list[str]:
    """What a reader could not read: words that are too small, outside of the canvas, or over others."""
    words = drawn_words(figure)
    width, height = 72 * figure.get_size_inches()
    small = [f"{one.text!r} has {one.size:g} pt" for one in words if one.size < smallest]
    outside = [
        f"{one.text!r} is outside of the canvas: {one.box}"
        for one in words
        if one.box.x0 < -_TOUCHING
        or one.box.y0 < -_TOUCHING
        or one.box.x1 > width + _TOUCHING
        or one.box.y1 > height + _TOUCHING
    ]
    # The box of slanted words is larger than they are
    upright = [one for one in words if one.rotation % 90 == 0]
    over = [f"{one.text!r} is over {other.text!r}" for one, other in combinations(upright, 2) if _overlap(one, other)]
    return [*small, *outside, *over]


def _overlap(one: Words, other: Words) -> bool:
    both = Bbox.intersection(one.box, other.box)
    return both is not None and both.width > _TOUCHING and both.height > _TOUCHING
