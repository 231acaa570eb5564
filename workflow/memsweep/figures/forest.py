"""Estimates with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from . import style


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


def columns(ax: Axes, place: float, texts: Sequence[str]) -> None:
    """Columns of text, set flush right."""
    for x, text in zip((0.15, 0.58, 1.0), texts, strict=True):
        ax.text(x, place, text, transform=ax.get_yaxis_transform(), ha="right", va="center", size=7)
