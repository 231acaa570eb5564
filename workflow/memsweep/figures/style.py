"""What the figures share: their look, their colours, their marks, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from ..base.errors import UserError
from ..base.files import replacing
from .wording import number_label, power_label

Colour = tuple[float, float, float]

WIDTH = 7.0
"""Width of a figure over both columns of a paper, in inches."""

LINE = 118
"""Letters of a line of text over that width."""

INK = "0.2"
"""Colour of lines and text that stand for no swept value."""

Dashes = tuple[float, tuple[float, ...]]
DOTS: Dashes = (0, (1, 1.5))
DASHES: Dashes = (0, (4, 2))

DASH_DOTS: Dashes = (0, (6, 1.5, 1, 1.5))
"""Styles of lines that are no data: references, expectations, and thresholds."""

MARKERS = ("o", "s", "D", "^", "X", "v", "P", "p", "*")
"""What tells values and definitions apart beside their colours."""

PUBLISHED: dict[str, Any] = {
    "marker": "D",
    "markersize": 4.5,
    "markerfacecolor": "none",
    "color": "0.35",
    "linestyle": "",
    "zorder": 4,
}
"""How a published number is marked."""

_BEYOND = 1e15  # more steps, or samples, than any run has
_LIGHTEST = 0.62  # luminance above which a line on white paper is hard to see
_PIXELS = {"pdf": 600}  # an inch; in a PDF this concerns nothing but images


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save within this look: small sans-serif type, open axes, fonts kept as text.

    The fonts are matplotlib's own, so that a figure comes out the same on every machine.
    """
    look: dict[Any, Any] = {
        **sns.axes_style("ticks"),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "mathtext.fontset": "dejavusans",
        "font.size": 8,
        "axes.labelsize": 8,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.6,
        "axes.edgecolor": INK,
        "axes.labelcolor": "black",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "legend.fontsize": 7,
        "legend.title_fontsize": 7,
        "legend.frameon": False,
        "legend.borderpad": 0.2,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "figure.constrained_layout.h_pad": 0.06,
        "figure.constrained_layout.w_pad": 0.06,
        "figure.dpi": 100,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "memsweep",
    }
    with matplotlib.rc_context(look):
        yield


def save(figure: Figure, paths: Sequence[Path], title: str = "", subject: str = "") -> None:
    """Write a figure to each path, whole or not at all, in the format of its suffix.

    The files carry no time stamp: the same tables give the same bytes.

    Args:
        figure: what to write.
        paths: where to.
        title, subject: what readers of a PDF show of it; none where they are empty.
    """
    named = {key: words for key, words in (("Title", title), ("Subject", subject)) if words}
    stamps: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None, **named}, "svg": {"Date": None}}
    for path in paths:
        kind = path.suffix.lstrip(".")
        with styled(), replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=_PIXELS.get(kind, 200), metadata=stamps.get(kind, {}))


def lettered(ax: Axes, letter: str, text: str = "", **look: Any) -> None:
    """Give a panel its letter and title; ``look`` as of ``set_title``."""
    ax.set_title(rf"$\bf{{{letter}}}$  {text}".rstrip(), **look)


def ends(row: Mapping[Hashable, Any]) -> NDArray[np.float64]:
    """Both ends of an interval, (2,); one that is not bounded leaves a logarithmic panel."""
    return np.clip(np.array([row["ci_low"], row["ci_high"]], float), 1 / _BEYOND, _BEYOND)


def colours(values: Sequence[float], palette: str) -> dict[float, Colour]:
    """A colour for each value, in order, from the part of a colour map that shows on white.

    Raises:
        UserError: there is no such colour map.
    """
    ordered = sorted(set(values))
    try:
        shades = [to_rgb(shade) for shade in sns.color_palette(palette, 256)]
    except ValueError:
        raise UserError(
            f"figures.palette: found {palette!r}; accepted is a colour map of matplotlib or seaborn, such as viridis"
        ) from None
    visible = [shade for shade in shades if _luminance(shade) < _LIGHTEST] or shades
    # One value takes the middle; several spread from end to end.
    ends = (0.0, 1.0) if len(ordered) > 1 else (0.5, 0.5)
    places = np.linspace(*ends, len(ordered)) * (len(visible) - 1)
    return {value: visible[round(float(place))] for value, place in zip(ordered, places, strict=True)}


def distinct_colours(values: Sequence[Any]) -> dict[Any, Colour]:
    """A colour for each value, none of them between others: for names, and what else has no order."""
    told_apart = [shade for shade in sns.color_palette("colorblind") if _luminance(shade) < _LIGHTEST]
    many = len(values) > len(told_apart)
    return dict(zip(values, sns.husl_palette(len(values), l=0.55) if many else told_apart, strict=False))


def _luminance(shade: Colour) -> float:
    return float(np.array([0.2126, 0.7152, 0.0722]) @ np.array(shade))


def logarithmic(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with at least three labelled ticks where it is short.

    Call it once everything is drawn, as the ticks depend on the limits.
    """
    set_scale: Callable[[str], None] = ax.set_xscale if which == "x" else ax.set_yscale
    set_scale("log")
    axis = ax.xaxis if which == "x" else ax.yaxis
    low, high = sorted(ax.get_xlim() if which == "x" else ax.get_ylim())
    axis.set_minor_formatter(NullFormatter())
    for subs in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0, 5.0, 7.0)):
        ticks = [
            sub * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for sub in subs
            if low <= sub * 10.0**power <= high
        ]
        if len(ticks) >= 3:
            axis.set_major_locator(LogLocator(subs=subs, numticks=9))
            axis.set_minor_locator(LogLocator(subs=np.arange(1, 10).tolist(), numticks=99))
            label = power_label if ticks[0] < 1e-2 or ticks[-1] >= 1e4 else number_label
            axis.set_major_formatter(_formatter(label))
            return
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(_formatter(number_label))


def _formatter(label: Callable[[float], str]) -> FuncFormatter:
    return FuncFormatter(lambda value, _: label(value))


# How an onset is drawn of which only one side is known: the run ended before it, or began to be evaluated after it.
_CENSORED: dict[str, tuple[str, str]] = {
    "censored": ("^", "run ended, or memorised, before it"),
    "left_censored": ("v", "at or before the first evaluation"),
}


def censored_onset(ax: Axes, place: float, row: Mapping[Hashable, Any], colour: Colour | str) -> None:
    """A hollow triangle that points to where the onset of a row of the table ``onsets`` lies."""
    marker = next(marker for side, (marker, _) in _CENSORED.items() if row[side])
    ax.plot(place, row["step"], marker=marker, markersize=5, markerfacecolor="w", color=colour, zorder=3)


def censored_handles(onsets: pd.DataFrame) -> list[Line2D]:
    """Legend entries of the censored onsets that there are."""
    look: dict[str, Any] = {"color": INK, "linestyle": "", "markerfacecolor": "w"}
    return [
        Line2D([], [], marker=marker, label=label, **look)
        for side, (marker, label) in _CENSORED.items()
        if onsets[side].any()
    ]


def published_marks(ax: Axes, marks: Sequence[tuple[float, float, str]]) -> None:
    """Mark published numbers: x, y, and whether y is ``exact``, ``at most`` or ``more than`` that (an arrow)."""
    arrow = {"arrowstyle": "->", "color": PUBLISHED["color"], "linewidth": 0.8, "shrinkA": 2.5, "shrinkB": 0}
    for x, y, bound in marks:
        ax.plot(x, y, **PUBLISHED)
        if bound != "exact":
            up = 12 if bound == "more than" else -12  # points
            tip = ax.transData + ScaledTranslation(0, up / 72, ax.figure.dpi_scale_trans)
            ax.annotate("", (x, y), (x, y), xycoords=tip, textcoords="data", arrowprops=arrow)


FLOOR: dict[str, Any] = {"color": "0.45", "linestyle": DOTS, "linewidth": 1.0, "zorder": 1}
"""How the distance of real images is drawn."""


def floor(ax: Axes, ends: tuple[float, float, float], which: Literal["x", "y"] = "y") -> None:
    """The distance of real images as a line over a band; ``ends`` as of `selection.floor`."""
    line, span = (ax.axhline, ax.axhspan) if which == "y" else (ax.axvline, ax.axvspan)
    line(ends[0], **FLOOR)
    span(ends[1], ends[2], color="0.45", alpha=0.12, linewidth=0, zorder=0)


def note(ax: Axes, text: str) -> None:
    """Say in the middle of a panel why there is nothing, or little, to see."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4", size=7, wrap=True)
