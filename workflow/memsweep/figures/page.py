"""How wide a figure is, one column of a paper or both, and what goes beside what over that width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from . import wording
from .style import INK, LINE, WIDTH

_KEY = 7  # letters that the sample of a legend's entry and the space around it take
_SMALLER = 8 / 7  # letters of a legend in the place of one of a line of text


@dataclass(frozen=True)
class Page:
    """What a figure has of a page.

    Attributes:
        width: in inches.
        line: letters of a line of text over that width.
        is_single: whether it is one column of two, so that panels stand below each other and legends below them.
    """

    width: float
    line: int
    is_single: bool

    @property
    def label(self) -> float:
        """Size of the names of axes, in points: panels of one column are not tall."""
        return 7.0 if self.is_single else 8.0

    def figure(self, *, single: float, double: float) -> Figure:
        """A figure of this width, as tall as is said, in inches, for one column and for both."""
        return Figure(figsize=(self.width, single if self.is_single else double), layout="constrained")

    def across(self, panels: int) -> int:
        """How many panels stand beside each other, of so many over both columns."""
        return 1 if self.is_single else panels

    def entries(self, handles: Sequence[Artist], most: int) -> int:
        """Columns of a legend: ``most`` over both columns of a page, over one as many as have room for every label."""
        if not self.is_single:
            return most
        longest = max((wording.letters(str(handle.get_label())) for handle in handles), default=0)
        return min(max(int(self.line * _SMALLER / (longest + _KEY)), 1), most)

    def legend(self, figure: FigureBase, handles: Sequence[Artist], most: int, **look: Any) -> None:
        """A legend in the middle below the panels, of at most so many columns."""
        figure.legend(handles=handles, loc="outside lower center", ncols=self.entries(handles, most), **look)

    def heading(self, figure: Figure, text: str) -> None:
        """What all panels hold fixed, above them."""
        figure.suptitle(text, fontsize="medium", color=INK)

    def around(
        self,
        figure: Figure,
        heading: str,
        values: Sequence[Line2D],
        title: str,
        styles: Sequence[Artist],
        most: int,
    ) -> None:
        """A heading, and legends below the panels: colours on the left, styles on the right.

        Over one column there is no room for both beside each other: colours stand above the panels, under the heading.

        Args:
            figure: what they are of.
            heading: what all panels hold fixed.
            values: entries for the colours of swept values.
            title: what is swept.
            styles: entries for styles of lines and marks.
            most: columns of the latter.
        """
        look: dict[str, Any] = {"handles": values, "handlelength": 1.6, "alignment": "left"}
        if self.is_single:
            title = "\n".join(part for part in (heading, title) if part)
            figure.legend(loc="outside upper left", title=title, ncols=self.entries(values, 5), **look)
            self.legend(figure, styles, most, handlelength=2.8)
            return
        self.heading(figure, heading)
        figure.legend(loc="outside lower left", title=title, ncols=min(len(values), 5), **look)
        figure.legend(handles=styles, loc="outside lower right", ncols=most, handlelength=2.8)


DOUBLE = Page(width=WIDTH, line=LINE, is_single=False)
SINGLE = Page(width=8.6 / 2.54, line=56, is_single=True)


def page(settings: Mapping[str, Any]) -> Page:
    """That of the settings of a figure, by the config's ``figures.width``; both columns where they say none."""
    return {"single": SINGLE, "double": DOUBLE}[settings.get("width", "double")]
