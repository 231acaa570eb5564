"""How each run trades novelty against fidelity as it trains."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...study.axes import read_axes
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "metrics")

_NOVELTY = {
    "graded": "novelty 2 (1 $-$ lean): better →",
    "f_mem": "novelty $1 - f_\\mathrm{mem}$: better →",
}
_VALUES = ("value", "ci_low", "ci_high")
_CROSSES = 4  # steps from one pair of intervals to the next
_LETTERS = 62  # of a line of text over a panel
_SMALLEST, _LARGEST, _END = 3.0, 26.0, 34.0  # areas of the markers from the first step to the last, in points²


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw each run's path through novelty and fidelity, one panel a swept axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``palette``; ``distance``, the feature space of the fidelity; ``novelty``,
            ``graded`` or ``f_mem``.
    """
    runs, axes = read_table(sources["runs"], "runs"), read_axes(settings)
    metrics, space = read_table(sources["metrics"], "metrics"), settings["distance"]
    paths = _paths(metrics, space, settings["novelty"])
    corrected = bool(len(paths)) and bool(paths["corrected"].all())
    with style.styled():
        swept = SweptAxis.all_among(runs, axes)
        on = page(settings)
        columns = on.across(min(2, len(swept)))
        rows = -(-len(swept) // columns)
        figure = on.figure(single=1.2 + 1.9 * rows, double=1.2 + 2.5 * rows)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in panels[len(swept) :]:
            ax.set_axis_off()
        for ax, letter, along in zip(panels, string.ascii_lowercase, swept, strict=False):
            colours = along.colours(settings["palette"])
            fixed = along.held_fixed(on.line if on.is_single else _LETTERS)
            style.lettered(ax, letter, wording.axis_label(along.axis), pad=7 + 9 * (1 + fixed.count("\n")))
            ax.text(0, 1.02, fixed, transform=ax.transAxes, fontsize="small", color="0.35", va="bottom")
            _trajectories(ax, selection.timed(paths, along.runs, "step"), along, colours)
            _values(ax, along, colours)
            if corrected:
                ax.axvline(0, **style.FLOOR)
        if len(paths) and not corrected:
            style.logarithmic(panels[0], "x")
        panels[0].invert_xaxis()
        lowest = min(paths["novelty"].min(), 0.8) if len(paths) else 0.0
        highest = max(paths["novelty"].max(), 1.0) if len(paths) else 1.0
        panels[0].set_ylim(lowest - 0.06 * (highest - lowest), highest + 0.04 * (highest - lowest))
        for ax in panels[len(swept) - columns : len(swept)]:
            ax.tick_params(axis="x", which="both", labelbottom=True)
            between = "\n" if on.is_single else " "
            less = f",{between}its floor taken off" if corrected else ""
            ax.set_xlabel(
                f"sliced Wasserstein distance to test{less}\n({settings['distance']} space); fidelity: better →"
            )
        for ax in panels[::columns]:
            ax.set_ylabel(_NOVELTY[settings["novelty"]])
        _legend(figure, corrected, on)
    return figure


def _paths(metrics: pd.DataFrame, space: str, novelty: str) -> pd.DataFrame:
    """Novelty and distance of each run at each step that has both, with ``_low`` and ``_high`` ends of their intervals.

    The distance is that less its floor, as the root of the difference of squares with its sign, wherever that is known.
    """
    keys = ["run_id", "step"]
    name, reference = {"graded": ("lean", "control"), "f_mem": ("f_mem", "train")}[novelty]
    share = selection.metric(metrics, name, reference, "pixels")[[*keys, *_VALUES]]
    square = selection.metric(metrics, "sliced_wasserstein_corrected", "test", space)[[*keys, *_VALUES]]
    distance = selection.metric(metrics, "sliced_wasserstein", "test", space)[[*keys, *_VALUES]]
    corrected = len(square) > 0
    if corrected:
        distance = square.assign(**{name: np.sign(square[name]) * np.sqrt(square[name].abs()) for name in _VALUES})
    both = share.merge(distance, on=keys, suffixes=("_share", "_distance"))
    scale = 2 if novelty == "graded" else 1
    novel = {
        name: scale * (1 - both[f"{of}_share"])
        for name, of in (("novelty", "value"), ("novelty_low", "ci_high"), ("novelty_high", "ci_low"))
    }
    ends = {f"distance_{end}": both[f"ci_{end}_distance"] for end in ("low", "high")}
    return both.assign(**novel, **ends, distance=both["value_distance"], corrected=corrected)


def _trajectories(ax: Axes, rows: pd.DataFrame, along: SweptAxis, colours: Mapping[Any, style.Colour]) -> None:
    """A line per run, markers growing with the logarithm of the step, the end of the run ringed."""
    if rows.empty:
        style.note(ax, "no values")
        return
    logs = np.log(rows["step"].astype(float).clip(lower=1))
    weight = (logs - logs.min()) / max(logs.max() - logs.min(), 1e-9)
    rows = rows.assign(area=_SMALLEST + (_LARGEST - _SMALLEST) * weight)
    for _, run in rows.groupby("run_id", sort=False):
        value = run[along.column].iloc[0]
        colour, marker = colours[value], along.markers[value]
        points: dict[str, Any] = {"color": colour, "linewidth": 0, "zorder": 3, "clip_on": False}
        ax.plot(run["distance"], run["novelty"], color=colour, linewidth=0.9, alpha=0.8, zorder=2, clip_on=False)
        ax.scatter(run["distance"], run["novelty"], s=run["area"], marker=marker, **points)
        _intervals(ax, run.iloc[::-_CROSSES], colour)
        end = run.iloc[-1]
        ax.scatter(
            end["distance"], end["novelty"], s=_END, marker=marker, **points | {"edgecolor": "k", "linewidth": 0.8}
        )


def _intervals(ax: Axes, rows: pd.DataFrame, colour: style.Colour) -> None:
    """Thin crosses behind the paths; ends that are not known leave no arm."""
    look: dict[str, Any] = {"color": colour, "linewidth": 0.5, "alpha": 0.55, "zorder": 1}
    ax.hlines(rows["novelty"], rows["distance_low"], rows["distance_high"], **look)
    ax.vlines(rows["distance"], rows["novelty_low"], rows["novelty_high"], **look)


def _values(ax: Axes, along: SweptAxis, colours: Mapping[Any, style.Colour]) -> None:
    handles = along.handles(colours)
    ax.legend(handles=handles, loc="lower left", handlelength=1.8, ncols=1 + (len(handles) > 6))


def _legend(figure: Figure, floored: bool, on: Page) -> None:
    shapes = [
        Line2D([], [], color="0.4", marker="o", linewidth=0.9, markersize=_SMALLEST**0.5, label="early in training"),
        Line2D([], [], color="0.4", marker="o", linewidth=0.9, markersize=_LARGEST**0.5, label="late"),
        Line2D([], [], color="0.4", marker="o", linewidth=0, markersize=_END**0.5, mec="k", label="run's end"),
    ]
    if floored:
        shapes.append(Line2D([], [], label="real images", **style.FLOOR))
    shapes.append(
        Line2D([], [], color="0.4", marker="+", markersize=8, markeredgewidth=0.5, linewidth=0, label="intervals")
    )
    on.legend(figure, shapes, len(shapes))
