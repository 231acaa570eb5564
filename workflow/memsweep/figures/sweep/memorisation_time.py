"""When memorisation starts, against the number of training images."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...analysis import published
from ...study.onsets import DEFINITIONS
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..power_law import band, location, seen

SOURCES = ("runs", "onsets", "scaling")

_DODGE = 1.035  # factor in N between neighbouring seeds


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the onset of each run against N, one panel a definition, with the fitted power law.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``palette``; ``thresholds`` of the onset; ``formulation``, its name, for the
            published onsets (left out where it is not given).
    """
    runs = selection.along(read_table(sources["runs"], "runs"), "train_size")
    onsets = read_table(sources["onsets"], "onsets").merge(runs[["run_id", "train_size", "seed"]], on="run_id")
    onsets = onsets[onsets["definition"].isin(DEFINITIONS)]  # departures are another clock
    onsets = onsets[onsets["step"] > 0]  # a run that was never evaluated says nothing
    onsets = onsets.assign(place=onsets["train_size"] * _DODGE ** _offsets(onsets["seed"]))
    scaling = read_table(sources["scaling"], "scaling")
    fits = {fit["definition"]: fit for fit in scaling[scaling["term"] == "train_size"].to_dict("records")}
    colours = style.colours(runs["train_size"].tolist(), settings["palette"])

    with style.styled():
        rows = -(-len(DEFINITIONS) // 2)
        figure = Figure(figsize=(style.WIDTH, 0.7 + 2.25 * rows), layout="constrained")
        figure.suptitle(wording.held_fixed(runs, "train_size"), fontsize="medium", color=style.INK)
        panels = figure.subplots(rows, 2, sharex=True, sharey=True).ravel().tolist()
        marked: list[float] = []
        for ax, letter, definition in zip(panels, string.ascii_lowercase, DEFINITIONS, strict=False):
            here = onsets[onsets["definition"] == definition]
            style.lettered(ax, letter, wording.definition_label(definition, settings["thresholds"]), pad=16)
            _points(ax, here, colours)
            _power_law(ax, here, fits.get(definition))
            threshold = settings["thresholds"].get(definition)
            numbers = published.onsets(runs, "train_size", definition, threshold, settings.get("formulation"))
            style.published_marks(ax, [(number.point.train_size, number.value, number.bound) for number in numbers])
            # Room for the arrow below a mark
            marked += [number.value / (1.4 if number.bound == "at most" else 1) for number in numbers]
        if len(onsets):
            _scales(panels[0], [*onsets["step"], *marked], runs)
        for ax in panels[len(DEFINITIONS) :]:
            ax.remove()
        for ax in panels[len(DEFINITIONS) - 2 : len(DEFINITIONS)]:
            ax.tick_params(axis="x", labelbottom=True)
            ax.set_xlabel(wording.AXIS_LABELS["train_size"])
        for ax in panels[::2]:
            ax.set_ylabel("onset of memorisation (steps)")
        _legend(figure, onsets, bool(marked))
    return figure


def _offsets(seeds: pd.Series[int]) -> pd.Series[float]:
    """Places of the seeds around 0, one apart."""
    distinct = sorted(seeds.unique())
    return seeds.map({seed: place - (len(distinct) - 1) / 2 for place, seed in enumerate(distinct)}).astype(float)


def _points(ax: Axes, rows: pd.DataFrame, colours: Mapping[float, style.Colour]) -> None:
    """Onsets with their intervals; those of censored runs as hollow triangles."""
    for row in rows.to_dict("records"):
        place, step, colour = row["place"], row["step"], colours[row["train_size"]]
        if row["censored"] or row["left_censored"]:
            style.censored_onset(ax, place, row, colour)
            continue
        # Where the run does not bound the onset, the interval leaves the panel.
        ax.plot([place, place], style.ends(row), color=colour, linewidth=1, zorder=2)
        ax.plot(place, step, marker="o", color=colour, markersize=3.5, zorder=3)


def _power_law(ax: Axes, rows: pd.DataFrame, fit: Mapping[Hashable, Any] | None) -> None:
    """The fitted line with its band, a line of slope 1, and the exponent in words."""
    if rows["censored"].all():
        _say(ax, "every run ended before the onset" if len(rows) else "no runs")
        return
    if seen(rows).empty:
        _say(ax, "every onset is censored")
        return
    exponent = float(fit["exponent"]) if fit is not None else np.nan
    slope = exponent if np.isfinite(exponent) else 1.0
    pivot = float(np.exp(np.log(seen(rows)["train_size"]).mean()))
    height = location(rows, "train_size", slope, pivot)
    sizes = np.geomspace(rows["train_size"].min() / 1.15, rows["train_size"].max() * 1.15, 50)
    ax.plot(sizes, height * sizes / pivot, color="0.6", linewidth=0.8, linestyle=style.DOTS, zorder=1)
    if fit is None or not np.isfinite(exponent):
        _say(ax, "exponent not estimable")
        return
    ends = np.array([fit["ci_low"], fit["ci_high"]], float)
    ax.plot(sizes, height * (sizes / pivot) ** exponent, color=style.INK, linewidth=1.1, zorder=1)
    if not np.isnan(ends).any():
        ax.fill_between(sizes, *band(sizes / pivot, height, ends), color=style.INK, alpha=0.1, linewidth=0)
    interval = f"[{wording.exponent_label(ends[0])}, {wording.exponent_label(ends[1])}]"
    runs = f"{int(fit['runs'])} runs, {selection.censored_count(fit)} censored"
    _say(ax, rf"$\tau \propto N^k$,  $k$ = {wording.exponent_label(exponent)} {interval};  {runs}")


def _say(ax: Axes, text: str) -> None:
    ax.text(0, 1.025, text, transform=ax.transAxes, ha="left", va="bottom", size=7, color="0.25")


def _scales(ax: Axes, steps: Sequence[float], runs: pd.DataFrame) -> None:
    """Logarithmic axes, shared by the panels, with a tick at each N."""
    sizes = sorted(runs["train_size"].unique())
    ax.set_yscale("log")
    ax.set_ylim(min(steps) / 1.6, max(steps) * 2)
    style.logarithmic(ax, "y")
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.set_xticks([], minor=True)


def _legend(figure: Figure, onsets: pd.DataFrame, marked: bool) -> None:
    shapes = [
        Line2D([], [], color=style.INK, marker="o", markersize=3.5, linewidth=1, label="onset and its interval"),
        Line2D([], [], color=style.INK, linewidth=1.1, label="fitted power law"),
        Line2D([], [], color="0.6", linewidth=0.8, linestyle=style.DOTS, label=r"$\tau \propto N$"),
    ]
    shapes[1:1] = style.censored_handles(onsets)
    if marked:
        shapes.append(Line2D([], [], label=published.LABEL, **style.PUBLISHED))
    figure.legend(handles=shapes, loc="outside lower center", ncols=3 if marked else 4)
