"""How the onset of memorisation differs between the values of an axis: its ratios to that at the base value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...study.axes import read_axes, text
from ...study.onsets import ONSETS, among
from ...tables.parquet import read_table
from .. import style, wording
from ..forest import interval
from ..page import Page, page

SOURCES = ("runs", "ratios")

_WIDEST = 10.0  # ratios beyond which, either way, an interval is cut, so that one vague fit hides no other
_ROW = 0.09  # inches for an interval


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the ratio of onsets at each value of each axis that is compared, under each definition, with its interval.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``thresholds`` of the onset.
    """
    runs, ratios = read_table(sources["runs"], "runs"), read_table(sources["ratios"], "ratios")
    compared = [axis for axis in read_axes(settings) if axis.column in set(ratios["axis"])]
    definitions = among(ratios["definition"], ONSETS)
    palette = style.distinct_colours(definitions)
    looks = {name: (palette[name], style.MARKERS[place % len(style.MARKERS)]) for place, name in enumerate(definitions)}
    limits = _limits(ratios)
    values = {axis.column: ratios.loc[ratios["axis"] == axis.column, "value"].unique().tolist() for axis in compared}
    rows = [len(values[axis.column]) for axis in compared]
    with style.styled():
        height = 1.1 + 0.3 * len(compared) + (_ROW * len(definitions) + 0.1) * sum(rows)
        on = page(settings)
        figure = on.figure(single=0.5 + height, double=height)
        panels = figure.subplots(max(len(rows), 1), 1, sharex=True, squeeze=False, height_ratios=rows or None)[:, 0]
        for ax, axis in zip(panels, compared, strict=False):
            here = ratios[ratios["axis"] == axis.column]
            labels = {text(value): label for value, label in wording.value_labels(axis, runs).items()}
            ordered = [value for value in labels if value in values[axis.column]]
            base = here["base"].iloc[0]
            ax.set_title(f"{wording.axis_label(axis)}, over {labels.get(base, base)}", weight="bold", pad=2)
            _group(ax, here, ordered, looks, limits)
            ax.set_yticks(range(len(ordered)), [labels[value] for value in ordered])
        for ax in panels[:-1]:
            ax.spines["bottom"].set_visible(False)
            ax.tick_params(axis="x", which="both", length=0)
        if not compared:
            style.note(panels[0], "no values are compared")
        held = "\n(the other axes held fixed)" if on.is_single else ", the other axes held fixed"
        panels[-1].set_xlabel(f"onset over that at the base value{held}")
        panels[0].set_xlim(*limits)
        style.logarithmic(panels[0], "x")
        _legend(figure, looks, settings["thresholds"], on)
    return figure


def _limits(ratios: pd.DataFrame) -> tuple[float, float]:
    """Range of ratios to show: all of them, and their intervals within reason."""
    known = ratios["ratio"].to_numpy(float)
    known = known[np.isfinite(known) & (known > 0)]
    ends = ratios[["ci_low", "ci_high"]].to_numpy(float).ravel()
    ends = np.clip(ends[np.isfinite(ends)], 1 / _WIDEST, _WIDEST)
    low, high = np.min([*known, *ends, 0.5]), np.max([*known, *ends, 2.0])
    return float(low / 1.1), float(high * 1.1)


def _group(
    ax: Axes,
    ratios: pd.DataFrame,
    values: Sequence[str],
    looks: Mapping[str, tuple[style.Colour, str]],
    limits: tuple[float, float],
) -> None:
    """One axis: at each value the definitions, one below the other."""
    ax.axvline(1, color="0.45", linewidth=0.9, linestyle=style.DASHES, zorder=0)
    beside = 0.8 / len(looks)
    for number, value in enumerate(values):
        if number:
            ax.axhline(number - 0.5, color="0.9", linewidth=0.6, zorder=0)
        fits = {fit["definition"]: fit for fit in ratios[ratios["value"] == value].to_dict("records")}
        for place, (definition, (colour, marker)) in enumerate(looks.items()):
            fit = fits.get(definition)
            height = number + beside * (place - (len(looks) - 1) / 2)
            if fit is None or not np.isfinite(fit["ratio"]):
                continue
            interval(ax, height, fit, limits, colour)
            ax.plot(fit["ratio"], height, marker=marker, color=colour, markersize=4)
        if not any(np.isfinite(fit["ratio"]) for fit in fits.values()):
            ax.text(1.05, number, "not estimable", va="center", size=7, color="0.4")
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _legend(
    figure: Figure, looks: Mapping[str, tuple[style.Colour, str]], thresholds: Mapping[str, float], on: Page
) -> None:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=4, label=wording.definition_label(definition, thresholds)
        )
        for definition, (colour, marker) in looks.items()
    ]
    on.legend(figure, handles, 3)
