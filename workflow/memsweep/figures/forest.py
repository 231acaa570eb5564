"""Estimates with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from . import style
from .page import Page


def interval(
    ax: Axes, place: float, fit: Mapping[Hashable, Any], limits: tuple[float, float], colour: style.Colour
) -> None:
    """A bar from end to end of an interval; an arrowhead where it goes on past the panel."""
    low, high = float(fit["ci_low"]), float(fit["ci_high"])
    if np.isnan(low) or np.isnan(high):
        return
    ax.plot([max(low, limits[0]), min(high, limits[1])], [place] * 2, color=colour, linewidth=1.3)
    for end, edge, marker in ((low, limits[0], "<"), (high, limits[1], ">")):
        if (end < edge) if marker == "<" else (end > edge):
            ax.plot(edge, place, marker=marker, color=colour, markersize=4, clip_on=False)


_FARTHEST = 8.0  # exponents beyond it, as of an axis with hardly any range, are in numbers only
_WIDEST = 3.0  # exponents beyond which an interval is cut, so that one vague fit hides no other


def exponent_limits(exponents: ArrayLike, ends: ArrayLike) -> tuple[float, float]:
    """Range of exponents to show: those within reason, and the ends of their intervals within less."""
    shown = np.concatenate([_within(exponents, _FARTHEST), _within(ends, _WIDEST)])
    low, high = (pick([*shown, limit]) for pick, limit in ((np.min, -1.0), (np.max, 1.0)))
    margin = 0.06 * (high - low)
    return float(low - margin), float(high + margin)


def _within(values: ArrayLike, most: float) -> NDArray[np.float64]:
    known = np.ravel(np.asarray(values, np.float64))
    return np.clip(known[np.isfinite(known)], -most, most)


_PAPER: dict[str, Any] = {"facecolor": "w", "edgecolor": "none", "pad": 0.5}  # behind words, over lines of reference
_ABOVE = 0.43  # of a row, from an estimate up to its name and numbers over one column of a page


def columns(ax: Axes, place: float, texts: Sequence[str], on: Page) -> None:
    """Columns of text, set flush right: in a panel of their own, or over one column above the estimate."""
    look: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center", "size": 7}
    for x, text in zip((0.62, 0.87, 1.0) if on.is_single else (0.15, 0.58, 1.0), texts, strict=True):
        if not on.is_single:
            ax.text(x, place, text, **look)
        elif text:
            ax.text(x, place - _ABOVE, text, bbox=_PAPER, **look)


def grid(figure: Figure, terms: int, on: Page) -> tuple[NDArray[Any], NDArray[Any]]:
    """A panel for each term, and beside it one for numbers; over one column numbers stand in the panel itself."""
    if on.is_single:
        panels = figure.subplots(max(terms, 1), 1, sharex=True, squeeze=False)[:, 0]
        return panels, panels
    # Numbers stand in a column of their own, so that the layout makes room for them
    both = figure.subplots(max(terms, 1), 2, sharex="col", sharey="row", squeeze=False, width_ratios=(3, 1.7))
    for column in both[:, 1]:
        column.axis("off")
    return both[:, 0], both[:, 1]


def name_rows(ax: Axes, names: Sequence[str], on: Page) -> None:
    """A name for each row: left of the panel, or over one column above the estimate."""
    if on.is_single:
        for place, name in enumerate(names):
            look: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "left", "va": "center", "size": 7}
            ax.text(0, place - _ABOVE, name, bbox=_PAPER, **look)
    ax.set_yticks(range(len(names)), [] if on.is_single else names)
    ax.set_ylim(len(names) - (0.7 if on.is_single else 0.4), -0.75 if on.is_single else -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
