"""How the onset of memorisation scales with every axis: the exponents and their intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...study.axes import read_axes
from ...study.onsets import DEFINITIONS, ONSETS, among
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..forest import columns, exponent_limits, grid, interval, name_rows
from ..page import Page, page

SOURCES = ("scaling",)

_EXPECTED = {"train_size": (1.0, r"$\propto\, N$"), "batch_size": (-1.0, r"$\propto\, 1/B$")}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the exponent of each axis under each definition of the onset or departure, with its interval.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``thresholds`` of the onset; ``confidence`` of the intervals.
    """
    scaling = read_table(sources["scaling"], "scaling")
    definitions = among(scaling["definition"], ONSETS) or DEFINITIONS
    labels = {axis.coordinate: wording.axis_label(axis) for axis in read_axes(settings)}
    terms = scaling.loc[scaling["runs"] > 0, "term"].unique().tolist()
    limits = exponent_limits(scaling["exponent"], scaling[["ci_low", "ci_high"]])
    with style.styled():
        on = page(settings)
        row, between = (0.25, 0.3) if on.is_single else (0.21, 0.1)
        height = 0.9 + (between + row * len(definitions)) * max(len(terms), 1)
        figure = on.figure(single=height, double=height)
        panels, numbers = grid(figure, len(terms), on)
        for ax, column, term in zip(panels, numbers, terms, strict=False):
            ax.set_title(labels[term], weight="bold", pad=2, loc="left")
            _group(ax, column, term, definitions, scaling[scaling["term"] == term], limits, settings, on)
        for ax in panels[:-1]:
            ax.spines["bottom"].set_visible(False)
            ax.tick_params(axis="x", length=0)
        if not terms:
            style.note(panels[0], "no axis is swept")
        panels[0].set_xlim(*limits)
        held = "\n(the other axes held fixed)" if on.is_single else ", the other axes held fixed"
        panels[-1].set_xlabel(rf"exponent $k$ of: onset $\propto$ axis$^{{\,k}}${held}")
        level = f"{100 * settings['confidence']:g} % interval"
        if on.is_single:
            figure.suptitle(f"$k$, {level}, runs (censored)", x=0.98, ha="right", size=7)
        else:
            columns(numbers[0], -1.1, ("$k$", level, "runs (censored)"), on)
    return figure


def _group(
    ax: Axes,
    column: Axes,
    term: str,
    definitions: Sequence[str],
    rows: pd.DataFrame,
    limits: tuple[float, float],
    settings: Mapping[str, Any],
    on: Page,
) -> None:
    """One axis of the grid: a row per definition, and where the normalised step would put it."""
    palette = style.distinct_colours(definitions)
    fits = {fit["definition"]: fit for fit in rows.to_dict("records")}
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    if term in _EXPECTED:
        exponent, law = _EXPECTED[term]
        ax.axvline(exponent, color="0.45", linewidth=0.9, linestyle=style.DASHES, zorder=0)
        ax.set_title(f"dashed: onset {law}", loc="right", size=7, color="0.35", pad=2)
    for place, definition in enumerate(definitions):
        if definition not in fits:
            continue
        fit = fits[definition]
        interval(ax, place, fit, limits, palette[definition])
        exponent = float(fit["exponent"])
        if np.isfinite(exponent):
            ax.plot(
                exponent,
                place,
                marker=style.MARKERS[place % len(style.MARKERS)],
                color=palette[definition],
                markersize=4.5,
            )
        columns(column, place, _numbers(fit), on)
    labels = [wording.definition_label(definition, settings["thresholds"]) for definition in definitions]
    name_rows(ax, labels, on)


def _numbers(fit: Mapping[Hashable, Any]) -> tuple[str, str, str]:
    """The exponent, its interval, and the runs behind it."""
    runs = f"{int(fit['runs'])} ({selection.censored_count(fit)})"
    if not np.isfinite(fit["exponent"]):
        return "", "not estimable", runs
    exponent, low, high = (wording.exponent_label(float(fit[key])) for key in ("exponent", "ci_low", "ci_high"))
    return exponent, f"[{low}, {high}]", runs
