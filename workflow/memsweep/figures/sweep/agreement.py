"""How far runs agree that start from the same latents, and when each leans to its own training images."""

from __future__ import annotations

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

SOURCES = ("runs", "trajectories", "agreement_over_pairs", "onsets", "leads")

_LOOKS: Mapping[str, style.Dashes] = {"subset": (0, ()), "seed": (0, (3.5, 1.8))}
_EVERY = 0.2  # of the diagonal of a panel, from marker to marker of a curve
_PAIRS = {"subset": "trained on other images", "seed": "other seed, the same images"}
_MARKS: Mapping[str, dict[str, Any]] = {
    "bias": {"marker": "P", "markersize": 6, "markeredgecolor": "k", "markeredgewidth": 0.6, "linewidth": 0},
    "test_loss_minimum": {
        "marker": "v",
        "markersize": 6,
        "markeredgecolor": "k",
        "markeredgewidth": 0.6,
        "linewidth": 0,
    },
}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw agreement, lean and test loss against step, a colour a value of the first axis that has pairs.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``palette``; ``distance``, the feature space; ``thresholds`` of the onset.
    """
    runs, axes = read_table(sources["runs"], "runs"), read_axes(settings)
    agreement = selection.over_runs(read_table(sources["agreement_over_pairs"], "agreement_over_pairs"))
    swept = _swept(runs, axes, agreement)
    onsets = read_table(sources["onsets"], "onsets")
    losses = selection.timed(read_table(sources["trajectories"], "trajectories"), swept.runs, "step")
    losses = losses[losses["split"] == "test"].rename(columns={"loss": "value"})
    pairs = selection.timed(agreement, swept.runs, "step")
    colours = swept.colours(settings["palette"])
    space, on = settings["distance"], page(settings)

    with style.styled():
        figure = on.figure(single=8.2, double=5.4)
        columns = on.across(2)
        panels = figure.subplots(4 // columns, columns, sharex=True).ravel()
        cosine, distance, lean, loss = panels
        _curves(cosine, pairs, "cosine", space, swept, colours)
        _curves(distance, pairs, "distance", space, swept, colours)
        _curves(lean, pairs, "lean", "pixels", swept, colours)
        for level, dashes in ((0.5, style.DOTS), (settings["thresholds"]["bias"], style.DASH_DOTS)):
            lean.axhline(level, color="0.45", linestyle=dashes, linewidth=0.8, zorder=1)
        _lines(loss, losses.assign(differs="subset"), swept, colours)
        for ax, name, rows in (
            (lean, "bias", pairs[pairs["measure"] == "lean"]),
            (loss, "bias", losses),
            (loss, "test_loss_minimum", losses),
            (lean, "test_loss_minimum", pairs[pairs["measure"] == "lean"]),
        ):
            _mark(ax, onsets[onsets["definition"] == name], rows, swept, colours, _MARKS[name])
        between = "\n" if on.is_single else " "
        for ax, letter, title, label in (
            (cosine, "a", "samples of one latent in two runs", f"cosine similarity{between}({space} space)"),
            (distance, "b", "distance of these samples", f"distance / that of other latents\n({space} space)"),
            (lean, "c", "lean to the run's own images", "probability"),
            (loss, "d", "test loss", "squared error per pixel"),
        ):
            style.lettered(ax, letter, title)
            ax.set_ylabel(label, fontsize=on.label)
            if not ax.lines:
                style.note(ax, "no values")
        _say(loss, read_table(sources["leads"], "leads"), on)
        for ax in panels[-columns:]:
            ax.set_xlabel("step")
        style.logarithmic(cosine, "x")
        if losses["value"].notna().any():
            style.logarithmic(loss, "y")
        _legends(figure, swept, colours, settings, on)
    return figure


def _say(ax: Axes, leads: pd.DataFrame, on: Page) -> None:
    """By what factor the test loss turns after the runs lean to their own images."""
    found = leads[(leads["definition"] == "test_loss_minimum") & leads["train_size"].isna() & (leads["runs"] > 0)]
    for row in found.to_dict("records"):
        ratio, low, high = (wording.ratio_label(float(row[key])) for key in ("ratio", "ci_low", "ci_high"))
        between = "\n" if on.is_single else " "
        words = f"minimum / bias ={between}{ratio} [{low}, {high}],{between}{row['runs']} pairs"
        ax.text(0.03, 0.03, words, transform=ax.transAxes, ha="left", va="bottom", size=7, color="0.25")


def _swept(runs: pd.DataFrame, axes: Any, agreement: pd.DataFrame) -> SweptAxis:
    """The axis along which compared runs take most values."""
    paired = set(agreement["run_id"])
    candidates = SweptAxis.all_among(runs, axes)

    def values(swept: SweptAxis) -> int:
        return int(swept.runs.loc[swept.runs["run_id"].isin(paired), swept.column].nunique())

    return max(candidates, key=values)


def _curves(
    ax: Axes, pairs: pd.DataFrame, measure: str, space: str, swept: SweptAxis, colours: Mapping[Any, style.Colour]
) -> None:
    _lines(ax, pairs[(pairs["measure"] == measure) & (pairs["space"] == space)], swept, colours)


def _lines(ax: Axes, rows: pd.DataFrame, swept: SweptAxis, colours: Mapping[Any, style.Colour]) -> None:
    """The mean over groups of pairs, or runs, of each kind as a line, with a band from lowest to highest interval."""
    for differs, dashes in _LOOKS.items():
        kind = selection.over_repetitions(rows[rows["differs"] == differs], swept.axis)
        for value, colour in colours.items():
            curve = kind[kind[swept.column] == value]
            if curve.empty:
                continue
            ax.fill_between(curve["time"], curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.2}
            ax.plot(curve["time"], curve["mean"], marker=swept.markers[value], markersize=2.8, markevery=_EVERY, **look)


def _mark(
    ax: Axes,
    onsets: pd.DataFrame,
    rows: pd.DataFrame,
    swept: SweptAxis,
    colours: Mapping[Any, style.Colour],
    look: Mapping[str, Any],
) -> None:
    """The geometric mean of the onsets at each value, on its curve."""
    here = onsets[~onsets["censored"] & ~onsets["left_censored"]].merge(
        swept.runs[["run_id", swept.column]], on="run_id"
    )
    for value, group in here.groupby(swept.column):
        curve = selection.over_repetitions(rows[rows[swept.column] == value], swept.axis)
        if curve.empty:
            continue
        step = float(np.exp(np.log(group["step"].astype(float)).mean()))
        height = np.interp(np.log(step), np.log(curve["time"].astype(float)), curve["mean"].astype(float))
        ax.plot(step, height, color=colours[value], zorder=4, **look)


def _legends(
    figure: Figure, swept: SweptAxis, colours: Mapping[Any, style.Colour], settings: Mapping[str, Any], on: Page
) -> None:
    styles = [Line2D([], [], color=style.INK, linestyle=dashes, label=_PAIRS[name]) for name, dashes in _LOOKS.items()]
    styles += [
        Line2D([], [], color="0.6", label=wording.definition_label(name, settings["thresholds"]), **look)
        for name, look in _MARKS.items()
    ]
    heading, title = swept.held_fixed(on.line), wording.axis_label(swept.axis)
    on.around(figure, heading, swept.handles(colours), title, styles, 2)
