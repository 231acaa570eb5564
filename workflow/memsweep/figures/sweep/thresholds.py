"""How the exponents of the onset depend on its threshold, and where they are no power law."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...study.axes import read_axes
from ...study.onsets import ONSETS, among
from ...tables.parquet import read_table
from .. import style, wording
from ..page import Page, page

SOURCES = ("thresholds", "local_slopes")

_IN_A_ROW = 3  # definitions
_APART = 0.018  # of the width of a panel, between the axes at one threshold
_MARGIN = 0.1  # of the range of thresholds, left and right of it
_WIDEST = 3.0  # exponents beyond which an interval is cut, so that one vague fit hides no other
_NOISE: dict[str, Any] = {"color": "0.5", "alpha": 0.18, "linewidth": 0}
_OWN: dict[str, Any] = {"color": "0.45", "linestyle": style.DASH_DOTS, "linewidth": 0.8}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the exponent of each swept axis against the threshold of the onset, one panel a definition.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``thresholds`` of the onset.
    """
    table, slopes = (read_table(sources[name], name) for name in SOURCES)
    names = {axis.coordinate: wording.axis_label(axis) for axis in read_axes(settings)}
    terms = [term for term in names if term in set(table["term"])]
    looks = {
        term: (colour, style.MARKERS[place % len(style.MARKERS)])
        for place, (term, colour) in enumerate(style.distinct_colours(terms).items())
    }
    definitions = among(table["definition"], ONSETS)
    on = page(settings)
    columns = on.across(_IN_A_ROW)
    rows = max(1, -(-len(definitions) // columns))
    with style.styled():
        figure = on.figure(single=1.3 + 1.25 * rows, double=0.7 + 1.9 * rows)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for ax, letter, definition in zip(panels.flat, string.ascii_lowercase, definitions, strict=False):
            style.lettered(ax, letter, wording.definition_label(definition, settings["thresholds"]))
            own = settings["thresholds"][ONSETS[definition].threshold]
            here, between = (rows[rows["definition"] == definition] for rows in (table, slopes))
            _panel(ax, here, between, looks, own)
        for ax in panels.flat[max(1, len(definitions)) :]:
            ax.remove()
        if not definitions:
            style.note(panels[0, 0], "no onset has a threshold that was looked at")
        panels[0, 0].set_ylim(*_limits(table))
        for ax in panels[:, 0]:
            ax.set_ylabel("exponent $k$")
        _legend(figure, looks, names, on)
    return figure


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Exponents to show: all of them within reason, with their intervals."""
    shown = table[["exponent", "ci_low", "ci_high"]].to_numpy(float).ravel()
    shown = np.clip(shown[np.isfinite(shown)], -_WIDEST, _WIDEST)
    low, high = min([*shown, -0.5]), max([*shown, 1.5])
    return float(low - 0.04 * (high - low)), float(high + 0.04 * (high - low))


def _panel(
    ax: Axes,
    rows: pd.DataFrame,
    slopes: pd.DataFrame,
    looks: Mapping[str, tuple[style.Colour, str]],
    own: float,
) -> None:
    """One definition: for each axis a line through its exponents, whose places are beside each other."""
    places = np.log10(rows["threshold"].to_numpy(float))
    low, high = float(places.min()), float(places.max())
    margin = _MARGIN * (high - low) or 0.3
    low, high = low - margin, high + margin
    ax.set_xlim(10**low, 10**high)
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    ax.axvline(own, **_OWN)
    noise = float(rows["noise"].max())
    if noise > 10**low:
        ax.axvspan(10**low, min(noise, 10**high), **_NOISE)
    for number, (term, (colour, marker)) in enumerate(looks.items()):
        aside = 10 ** (_APART * (high - low) * (number - (len(looks) - 1) / 2))
        for slope in _known(slopes, term).to_dict("records"):
            ax.plot(slope["threshold"] * aside, slope["exponent"], marker="_", markersize=5, color=colour, alpha=0.7)
        here = _known(rows, term)
        ax.plot(here["threshold"] * aside, here["exponent"], color=colour, linewidth=0.8)
        for row in here.to_dict("records"):
            place = row["threshold"] * aside
            ax.plot([place, place], [row["ci_low"], row["ci_high"]], color=colour, linewidth=0.8)
            face = "w" if row["power_law"] == "rejected" else colour
            ax.plot(place, row["exponent"], marker=marker, markersize=3.8, color=colour, markerfacecolor=face, zorder=3)
    style.logarithmic(ax, "x")
    ax.set_xlabel("threshold")


def _known(rows: pd.DataFrame, term: str) -> pd.DataFrame:
    here: pd.DataFrame = rows[(rows["term"] == term) & np.isfinite(rows["exponent"].to_numpy(float))]
    return here.sort_values("threshold")


def _legend(figure: Figure, looks: Mapping[str, tuple[style.Colour, str]], names: Mapping[str, str], on: Page) -> None:
    axes: Sequence[Line2D] = [
        Line2D([], [], color=colour, marker=marker, markersize=3.8, linewidth=0.8, label=names[term])
        for term, (colour, marker) in looks.items()
    ]
    ink: dict[str, Any] = {"color": style.INK, "linestyle": ""}
    signs = [
        Line2D([], [], marker="o", markersize=3.8, markerfacecolor="w", label="no power law", **ink),
        Line2D([], [], marker="_", markersize=5, label="between neighbouring values", **ink),
        Line2D([], [], label="threshold of the study", **_OWN),
        Patch(label="reached by chance", **_NOISE),
    ]
    if on.is_single:
        on.legend(figure, [*axes, *signs], 2, handlelength=2.2)
        return
    figure.legend(handles=axes, loc="outside lower left", ncols=2)
    figure.legend(handles=signs, loc="outside lower right", ncols=2, handlelength=2.2)
