"""Curves along training as panels show them: lines with bands, by split, thresholds, and the scale of what is shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import style

TRAIN: style.Dashes = (0, ())
TEST: style.Dashes = (0, (3.5, 1.8))
"""Styles of lines against, or of, training and held-out images."""


_BEYOND = 1.5  # the factor by which a logarithmic panel goes past its lines


def banded(
    ax: Axes,
    curve: pd.DataFrame,
    colour: style.Colour | str,
    dashes: style.Dashes,
    width: float = 1.2,
    band: bool = True,
) -> None:
    """A curve as a line, its band behind it: columns ``time``, ``mean``, ``low`` and ``high``."""
    if band:
        ax.fill_between(curve["time"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
    marker = "o" if len(curve) == 1 else ""
    ax.plot(curve["time"], curve["mean"], color=colour, linestyle=dashes, linewidth=width, marker=marker)


def threshold(ax: Axes, level: float) -> None:
    """The level at which an onset lies."""
    ax.axhline(level, color="0.45", linestyle=style.DASH_DOTS, linewidth=0.8, zorder=1)


def fit_shares(ax: Axes, level: float) -> None:
    """Scale a panel of shares, in which nothing is higher than need be, around the level of an onset."""
    ax.set_ylim(-0.03, max(ax.get_ylim()[1], 2 * level))


def logarithmic(ax: Axes) -> None:
    """Make the scale of values logarithmic, where there are any.

    Lines decide what is shown: a band whose end nears 0 would take most of the panel, and is cut at its edge instead.
    """
    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines] or [np.empty(0)])
    heights = heights[heights > 0]
    if len(heights):
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, heights.min() / _BEYOND), min(1.15 * high, heights.max() * _BEYOND))
    if ax.lines:
        style.logarithmic(ax, "y")


def linear(ax: Axes) -> None:
    """Few ticks at round values."""
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
