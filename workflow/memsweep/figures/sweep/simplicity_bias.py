"""What networks use of their data as they train: their losses beside those of Gaussian surrogates.

After Bardone, Merger & Goldt 2026 (arXiv 2603.12901).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ...analysis.departure import SURROGATES
from ...study.axes import Axis, read_axes
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "trajectories", "excess", "onsets", "baselines")

_MOST_PANELS = 4
_SURROGATES = {"gaussian": "Gaussian surrogate", "gaussian_mixture": "mixture surrogate"}
_SPLITS = {"train": "training images", "test": "test images", **_SURROGATES}
_MARKERS = {"train": "o", "test": "D", "gaussian": "s", "gaussian_mixture": "^"}
_EVERY = 0.22  # of the diagonal of a panel, from marker to marker of a curve
_DEEPEST = 30  # how far below the networks' lowest loss one is still drawn where it is
_ROUNDING = 1e-12
_OPTIMA = {"gaussian": "test", "gaussian_mixture": "test", "empirical": "train"}
"""The baselines that are drawn, and the split on which."""

_DASHES = {"gaussian": style.DASHES, "gaussian_mixture": style.DASH_DOTS, "empirical": style.DOTS}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw losses and excess against step, one column a value of the first swept axis: N, where that is swept.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``thresholds`` of the onset, with ``departure``; ``surrogates``, their names.
    """
    swept = SweptAxis.all_among(read_table(sources["runs"], "runs"), read_axes(settings))[0]
    runs, axis = swept.runs, swept.axis
    losses = _of(runs, read_table(sources["trajectories"], "trajectories"), "loss")
    excess = _of(runs, read_table(sources["excess"], "excess"), "excess")
    onsets = read_table(sources["onsets"], "onsets").merge(runs[["run_id", axis.column]], on="run_id")
    baselines = read_table(sources["baselines"], "baselines")
    baselines = baselines[baselines["noise_level"].isna()]
    floor = float(losses["value"].min()) / _DEEPEST if len(losses) else 0.0
    values = _spread(list(swept.labels), _MOST_PANELS)
    colours, letters, on = _colours(), string.ascii_lowercase, page(settings)

    with style.styled():
        figure = on.figure(single=2.2 + 1.35 * len(values), double=4.9)
        on.heading(figure, swept.held_fixed(on.line))
        # One axis of steps for all values, so that a departure that does not move with the axis is seen not to
        if on.is_single:
            panels = figure.subplots(len(values), 2, sharex=True, sharey="col", squeeze=False).T
        else:
            panels = figure.subplots(2, len(values), sharex=True, sharey="row", squeeze=False)
        for column, value in enumerate(values):
            top, bottom = panels[:, column]
            here = runs[runs[axis.column] == value]
            _losses(top, losses[losses[axis.column] == value], axis, colours)
            _baselines(top, _of_these(baselines, here), floor, colours)
            _excess(bottom, excess[excess[axis.column] == value], axis, colours)
            _departures(bottom, onsets[onsets[axis.column] == value], settings, colours)
            first, second = (2 * column, 2 * column + 1) if on.is_single else (column, len(values) + column)
            style.lettered(top, letters[first], f"{wording.axis_name(axis)} = {swept.labels[value]}")
            style.lettered(bottom, letters[second])
            if not top.lines:
                style.note(top, "no values")
        _scales(panels, losses["time"])
        for ax in panels[:, -1] if on.is_single else panels[1]:
            ax.set_xlabel("step")
        for top, bottom in panels.T if on.is_single else panels[:, :1].T:
            top.set_ylabel("loss (per pixel)")
            bottom.set_ylabel("excess" if on.is_single else f"excess: surrogate / test {wording.MINUS} 1")
        _legend(figure, settings["surrogates"], colours, onsets, on)
    return figure


def _of(runs: pd.DataFrame, rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """The finite rows of these runs, with what `selection.over_repetitions` needs."""
    timed = selection.timed(rows, runs, "step").rename(columns={value: "value"})
    finite: pd.DataFrame = timed[np.isfinite(timed["value"].to_numpy(dtype=float))]
    return finite


def _spread(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the values, spread from the first to the last."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[place] for place in places]


def _colours() -> dict[str, style.Colour | str]:
    blue, orange, green = sns.color_palette("colorblind", 3)
    return {"train": green, "empirical": green, "test": "black", "gaussian": blue, "gaussian_mixture": orange}


def _curve(ax: Axes, rows: pd.DataFrame, axis: Axis, colour: style.Colour | str, marker: str) -> None:
    """The mean over repetitions as a line, its band behind it."""
    curve = selection.over_repetitions(rows, axis)
    ax.fill_between(curve["time"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
    ax.plot(curve["time"], curve["mean"], color=colour, marker=marker, markersize=3, markevery=_EVERY)


def _losses(ax: Axes, losses: pd.DataFrame, axis: Axis, colours: Mapping[str, style.Colour | str]) -> None:
    for split in _SPLITS:
        rows = losses[losses["split"] == split]
        if len(rows):
            _curve(ax, rows, axis, colours[split], _MARKERS[split])


def _of_these(baselines: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The baselines of what these runs are trained on and of what they learn, over subsets as the curves are."""
    for column in baselines.columns.intersection(runs.columns):  # null where a baseline depends on none
        baselines = baselines[baselines[column].isna() | baselines[column].isin(runs[column])]
    kinds = baselines.groupby(["estimator", "split"], as_index=False, sort=False)
    means: pd.DataFrame = kinds.agg(loss=("loss", "mean"), ci_low=("ci_low", "min"), ci_high=("ci_high", "max"))
    return means


def _baselines(ax: Axes, baselines: pd.DataFrame, floor: float, colours: Mapping[str, style.Colour | str]) -> None:
    """The losses of the best denoisers as dashed lines, their intervals at the right edge.

    One below the floor, as where each class has one image and nothing is left to guess, is an arrow at the foot.
    """
    for place, (estimator, split) in enumerate(_OPTIMA.items()):
        rows = baselines[(baselines["estimator"] == estimator) & (baselines["split"] == split)]
        for row in rows.to_dict("records"):
            colour, edge = colours[estimator], 0.97 - 0.03 * place
            if row["loss"] < floor:
                label, low, foot = (
                    wording.power_label(row["loss"]) if row["loss"] > _ROUNDING else "0",
                    (edge, 0.02),
                    (edge, 0.16),
                )
                arrow = {"arrowstyle": "->", "color": colour, "shrinkA": 0, "shrinkB": 0}
                ax.annotate("", low, foot, xycoords="axes fraction", textcoords="axes fraction", arrowprops=arrow)
                ax.text(
                    edge - 0.03, 0.03, label, transform=ax.transAxes, color=style.INK, ha="right", va="bottom", size=7
                )
                continue
            ax.axhline(row["loss"], color=colour, linestyle=_DASHES[estimator], linewidth=0.9, zorder=1)
            ends = [max(row["ci_low"], floor), row["ci_high"]]
            ax.plot([edge] * 2, ends, transform=ax.get_yaxis_transform(), color=colour, linewidth=1.6)


def _excess(ax: Axes, excess: pd.DataFrame, axis: Axis, colours: Mapping[str, style.Colour | str]) -> None:
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    for surrogate in _SURROGATES:
        rows = excess[excess["surrogate"] == surrogate]
        if len(rows):
            _curve(ax, rows, axis, colours[surrogate], _MARKERS[surrogate])


def _departures(
    ax: Axes, onsets: pd.DataFrame, settings: Mapping[str, Any], colours: Mapping[str, style.Colour | str]
) -> None:
    """Departures with their intervals at the height of the threshold, and where the test loss is lowest."""
    threshold = settings["thresholds"]["departure"]
    ax.axhline(threshold, color="0.45", linestyle=style.DASH_DOTS, linewidth=0.8, zorder=1)
    for row in onsets[onsets["step"] > 0].to_dict("records"):
        if row["definition"] == "test_loss_minimum" and not row["censored"]:
            ax.axvline(row["step"], color="0.45", linewidth=0.8, linestyle=style.DOTS, zorder=1)
        elif row["definition"] in SURROGATES:
            colour = colours[SURROGATES[row["definition"]]]
            ends = style.ends(row)
            side = ">" if row["censored"] else "<" if row["left_censored"] else ""
            shape: dict[str, Any] = {"marker": side, "markerfacecolor": "w"} if side else {"marker": "o"}
            if not side:
                ax.plot(ends, [threshold] * 2, color=colour, linewidth=1.6, zorder=3)
            ax.plot(row["step"], threshold, color=colour, markersize=4.5, zorder=4, **shape)


def _scales(panels: Any, steps: pd.Series[float]) -> None:
    """Logarithmic steps and losses; room around both."""
    if len(steps):
        panels[0, 0].set_xlim(steps.min() / 1.3, steps.max() * 1.6)
        style.logarithmic(panels[0, 0], "x")
    if any(ax.lines for ax in panels[0]):
        style.logarithmic(panels[0, 0], "y")
    panels[1, 0].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(
    figure: Figure, surrogates: Sequence[str], colours: Mapping[str, style.Colour | str], onsets: pd.DataFrame, on: Page
) -> None:
    """Losses on the left, then the baselines, then the marks."""
    splits = [name for name in _SPLITS if name in ("train", "test", *surrogates)]
    curves: list[Any] = [
        Line2D([], [], color=colours[name], marker=_MARKERS[name], markersize=3, label=_SPLITS[name]) for name in splits
    ]
    curves.append(Patch(color="0.5", alpha=0.3, linewidth=0, label="interval"))
    optima = {"gaussian": "Wiener filter, on test", "gaussian_mixture": "Wiener filter by class, on test"}
    optima = {name: label for name, label in optima.items() if name in surrogates}
    optima["empirical"] = "posterior mean of the training images, on train"
    best = [Line2D([], [], color=colours[name], linestyle=_DASHES[name], label=label) for name, label in optima.items()]
    ink: dict[str, Any] = {"color": style.INK, "markersize": 4.5}
    marks = [
        Line2D([], [], marker="o", linewidth=1.6, label="departure and its interval", **ink),
        Line2D([], [], marker=">", markerfacecolor="w", linestyle="", label="none by the lowest test loss", **ink),
        Line2D([], [], marker="<", markerfacecolor="w", linestyle="", label="at or before the first step shown", **ink),
        Line2D([], [], color="0.45", linestyle=style.DOTS, linewidth=0.8, label="lowest test loss"),
        Line2D([], [], color="0.45", linestyle=style.DASH_DOTS, linewidth=0.8, label="threshold of the departure"),
    ]
    if not onsets.loc[onsets["definition"].isin(SURROGATES), "left_censored"].any():
        del marks[2]
    look: dict[str, Any] = {"alignment": "left", "handlelength": 2.2}
    if on.is_single:
        on.legend(figure, [*curves, *best, *marks], 2, **look)
        return
    figure.legend(handles=curves, loc="outside lower left", title="networks", **look)
    figure.legend(handles=best, loc="outside lower center", title="best denoisers, untrained", **look)
    figure.legend(handles=marks, loc="outside lower right", title="departure from a surrogate", **look)
