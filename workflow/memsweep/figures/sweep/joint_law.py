"""The exponents of one law in all axes together, beside those of fits along single axes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...study.axes import read_axes
from ...study.onsets import DEFINITIONS, ONSETS, among
from ...tables.parquet import read_table
from .. import style, wording
from ..forest import columns, exponent_limits, grid, interval, name_rows
from ..page import Page, page

SOURCES = ("law", "scaling")

# How the estimate of an axis alone is drawn
ALONE: dict[str, Any] = {"color": (0.55, 0.55, 0.55), "markersize": 3.5, "markerfacecolor": "w"}
# Of a definition's two estimates, from the middle of its row: over both columns of a page, and below words over one
_APART, _BENEATH = (-0.22, 0.22), (-0.05, 0.22)

Fits = Mapping[tuple[str, str], Mapping[Hashable, Any]]


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw each numeric axis's exponents by the law and by the axis alone, under each definition, with intervals.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``thresholds`` of the onset; ``confidence`` of the intervals.
    """
    law, scaling = read_table(sources["law"], "law"), read_table(sources["scaling"], "scaling")
    numeric = law[law["value"].isna()]
    slopes, alone = numeric[numeric["order"] == 1], scaling.rename(columns={"exponent": "estimate"})
    curvatures = numeric[(numeric["order"] == 2) & numeric["kept"]]
    definitions = among(slopes["definition"], ONSETS) or list(DEFINITIONS)
    labels = {axis.coordinate: wording.axis_label(axis) for axis in read_axes(settings)}
    terms = slopes["term"].unique().tolist()
    limits = exponent_limits([*slopes["estimate"], *alone["estimate"]], slopes[["ci_low", "ci_high"]])
    with style.styled():
        on = page(settings)
        row, between = (0.33, 0.3) if on.is_single else (0.24, 0.1)
        height = 1.1 + (between + row * len(definitions)) * max(len(terms), 1)
        figure = on.figure(single=0.2 + height, double=height)
        panels, numbers = grid(figure, len(terms), on)
        fits = [_by_row(table) for table in (slopes, alone, curvatures)]
        for ax, column, term in zip(panels, numbers, terms, strict=False):
            ax.set_title(labels[term], weight="bold", pad=2, loc="left")
            _group(ax, term, definitions, fits[0], fits[1], limits, _BENEATH if on.is_single else _APART)
            _say(column, term, definitions, fits[0], fits[2], on)
            names = [wording.definition_label(definition, settings["thresholds"]) for definition in definitions]
            name_rows(ax, names, on)
        for ax in panels[:-1]:
            ax.spines["bottom"].set_visible(False)
            ax.tick_params(axis="x", length=0)
        if terms:
            level = f"{100 * settings['confidence']:g} % interval"
            if on.is_single:
                figure.suptitle(f"$k$, {level}, curvature", x=0.98, ha="right", size=7)
            else:
                columns(numbers[0], -1.1, ("$k$", level, "curvature"), on)
        else:
            style.note(panels[0], "no axis of positive numbers is swept")
        panels[0].set_xlim(*limits)
        where = "\n(at the middle of the axis)" if on.is_single else ", at the middle of the axis"
        panels[-1].set_xlabel(rf"exponent $k$ of: onset $\propto$ axis$^{{\,k}}${where}")
        _legend(figure, on)
    return figure


def _by_row(table: pd.DataFrame) -> Fits:
    """Rows of a table by term and definition."""
    return {(row["term"], row["definition"]): row for row in table.to_dict("records")}


def _group(
    ax: Axes,
    term: str,
    definitions: Sequence[str],
    law: Fits,
    alone: Fits,
    limits: tuple[float, float],
    apart: tuple[float, float],
) -> None:
    """One axis: for each definition the law's exponent, and below it that of the axis alone."""
    palette = style.distinct_colours(definitions)
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    for place, definition in enumerate(definitions):
        own: dict[str, Any] = {"marker": style.MARKERS[place % len(style.MARKERS)]}
        joint = {**own, "color": palette[definition], "markersize": 4.5}
        _estimate(ax, place + apart[0], law.get((term, definition)), limits, joint)
        _estimate(ax, place + apart[1], alone.get((term, definition)), limits, own | ALONE)


def _estimate(
    ax: Axes, place: float, fit: Mapping[Hashable, Any] | None, limits: tuple[float, float], look: Mapping[str, Any]
) -> None:
    """A mark with its interval, if there is an estimate."""
    if fit is None or not np.isfinite(fit["estimate"]):
        return
    interval(ax, place, fit, limits, look["color"])
    if limits[0] <= fit["estimate"] <= limits[1]:
        ax.plot(fit["estimate"], place, **look)


def _say(column: Axes, term: str, definitions: Sequence[str], law: Fits, curvatures: Fits, on: Page) -> None:
    """The law's exponents in numbers, with the curvatures that are kept."""
    for place, definition in enumerate(definitions):
        fit, curvature = law.get((term, definition)), curvatures.get((term, definition))
        if fit is None:
            continue
        if not np.isfinite(fit["estimate"]):
            columns(column, place, ("", "not estimable", ""), on)
            continue
        exponent, low, high = (wording.exponent_label(float(fit[key])) for key in ("estimate", "ci_low", "ci_high"))
        bent = wording.exponent_label(float(curvature["estimate"])) if curvature else ""
        columns(column, place, (exponent, f"[{low}, {high}]", bent), on)


def _legend(figure: Figure, on: Page) -> None:
    law = Line2D([], [], color=style.INK, marker="o", markersize=4.5, label="all axes together (law)")
    alone = Line2D([], [], marker="o", label="the axis alone, runs as independent", **ALONE)
    on.legend(figure, [law, alone], 2)
