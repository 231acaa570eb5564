"""Estimates with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from . import style

MARKERS = ("o", "s", "D", "^", "X", "v", "P")
"""Of the estimates under different definitions."""


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
