"""How loss, copying and fidelity develop as one axis is swept: the panels of Marion & Wu (2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..tables import read_table
from . import style

SOURCES = ("runs", "trajectories", "metrics")

_Dashes = tuple[float, Sequence[float]]

_TRAIN: _Dashes = (0, ())
_TEST: _Dashes = (0, (3.5, 1.8))
_CONTROL: _Dashes = (0, (1, 1.5))
_THRESHOLD: _Dashes = (0, (6, 1.5, 1, 1.5))

_CROSS: dict[str, Any] = {"marker": "X", "markersize": 7, "markeredgecolor": "w", "markeredgewidth": 0.7}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw loss, memorised share, distance and loss gap against time for each value of an axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axis``, the swept axis; ``palette``; ``time``, ``normalised_step`` or
            ``step``; ``distance``, the feature space; ``thresholds`` of the onset.
    """
    axis = settings["axis"]
    runs = style.along(read_table(sources["runs"], "runs"), axis)
    losses = style.timed(read_table(sources["trajectories"], "trajectories"), runs, settings["time"])
    losses = losses.rename(columns={"loss": "value"})
    losses = losses[np.isfinite(losses["value"])]
    metrics = style.timed(read_table(sources["metrics"], "metrics"), runs, settings["time"])
    colours = style.colours(runs[axis].tolist(), settings["palette"])

    def share(reference: str) -> pd.DataFrame:
        return style.metric(metrics, "f_mem", reference, "pixels")

    def distance(reference: str) -> pd.DataFrame:
        return style.metric(metrics, "sliced_wasserstein", reference, settings["distance"])

    with style.styled():
        figure = Figure(figsize=(style.WIDTH, 5.4), layout="constrained")
        figure.suptitle(style.held_fixed(runs, axis), fontsize="medium", color=style.INK)
        (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2, sharex=True)

        _curves(top_left, losses[losses["split"] == "train"], axis, colours, _TRAIN)
        _curves(top_left, losses[losses["split"] == "test"], axis, colours, _TEST)
        diverged = _diverged(top_left, losses, runs, axis, colours)
        _title(top_left, "a", "loss", "squared error a pixel")
        _logarithmic(top_left)

        _threshold(top_right, settings["thresholds"]["f_mem"])
        _curves(top_right, share("control"), axis, colours, _CONTROL, width=0.9, band=False)
        _curves(top_right, share("train"), axis, colours, _TRAIN)
        _title(top_right, "b", "memorised share", r"$f_\mathrm{mem}$")
        top_right.set_ylim(-0.03, max(top_right.get_ylim()[1], 2 * settings["thresholds"]["f_mem"]))

        _curves(bottom_left, distance("train"), axis, colours, _TRAIN)
        _curves(bottom_left, distance("test"), axis, colours, _TEST)
        space = f"sliced Wasserstein ({settings['distance']} space)"
        _title(bottom_left, "c", "distance of the generated images", space)
        _logarithmic(bottom_left)

        _threshold(bottom_right, settings["thresholds"]["loss_gap_absolute"])
        _curves(bottom_right, _gaps(losses), axis, colours, _TRAIN)
        _title(bottom_right, "d", "loss gap", f"test loss {style.MINUS} training loss")

        for ax in (top_right, bottom_right):
            ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        for ax in (bottom_left, bottom_right):
            ax.set_xlabel(style.TIME_LABELS[settings["time"]])
        style.logarithmic(bottom_left, "x")
        lines = [("train", _TRAIN), ("test", _TEST), ("onset threshold", _THRESHOLD)]
        if len(share("control")):
            lines.insert(2, ("control", _CONTROL))
        _legends(figure, runs, axis, colours, lines, diverged)
    return figure


def _curves(
    ax: Axes,
    rows: pd.DataFrame,
    axis: str,
    colours: Mapping[float, style.Colour],
    dashes: _Dashes,
    width: float = 1.2,
    band: bool = True,
) -> None:
    """The mean over seeds as a line, its band behind it, for each value of the axis."""
    for value, curve in style.over_seeds(rows, axis).groupby(axis):
        colour = colours[float(str(value))]
        if band:
            ax.fill_between(curve["time"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        marker = "o" if len(curve) == 1 else ""
        ax.plot(curve["time"], curve["mean"], color=colour, linestyle=dashes, linewidth=width, marker=marker)


def _gaps(losses: pd.DataFrame) -> pd.DataFrame:
    """Test loss minus training loss of each run and step.

    The two splits' intervals are combined as in Zou & Donner (2008), who recover the
    variances from the intervals' arms.
    """
    keys = ["run_id", "step"]
    train, test = (losses[losses["split"] == split] for split in ("train", "test"))
    both = test.merge(train[[*keys, "value", "ci_low", "ci_high"]], on=keys, suffixes=("", "_train"))
    gap = both["value"] - both["value_train"]
    low = gap - np.hypot(both["value"] - both["ci_low"], both["ci_high_train"] - both["value_train"])
    high = gap + np.hypot(both["ci_high"] - both["value"], both["value_train"] - both["ci_low_train"])
    return both.assign(value=gap, ci_low=low, ci_high=high)


def _diverged(
    ax: Axes, losses: pd.DataFrame, runs: pd.DataFrame, axis: str, colours: Mapping[float, style.Colour]
) -> bool:
    """Mark the last finite training loss of each run that diverged; say whether there is one."""
    names = runs.loc[runs["status"] == "diverged", "run_id"]
    lasts = losses[losses["run_id"].isin(names) & (losses["split"] == "train")].groupby("run_id").last()
    for _, last in lasts.iterrows():
        ax.plot(last["time"], last["value"], color=colours[last[axis]], **_CROSS)
    return len(lasts) > 0


def _threshold(ax: Axes, level: float) -> None:
    ax.axhline(level, color="0.45", linestyle=_THRESHOLD, linewidth=0.8, zorder=1)


def _title(ax: Axes, letter: str, title: str, label: str) -> None:
    ax.set_title(rf"$\bf{{{letter}}}$  {title}")
    ax.set_ylabel(label)
    if not ax.lines:
        style.note(ax, "no values")


def _logarithmic(ax: Axes) -> None:
    if ax.lines:
        style.logarithmic(ax, "y")


def _legends(
    figure: Figure,
    runs: pd.DataFrame,
    axis: str,
    colours: Mapping[float, style.Colour],
    styles: Sequence[tuple[str, _Dashes]],
    diverged: bool,
) -> None:
    """Colours on the left, line styles on the right, both in two lines below the panels."""
    labels = style.value_labels(axis, runs)
    swept = [Line2D([], [], color=colours[value], linewidth=2.4, label=label) for value, label in labels.items()]
    lines = [Line2D([], [], color=style.INK, linestyle=dashes, label=name) for name, dashes in styles]
    if diverged:
        lines.append(Line2D([], [], color=style.INK, linewidth=0, label="a seed diverged", **_CROSS))
    figure.legend(
        handles=swept,
        loc="outside lower left",
        title=style.AXIS_LABELS[axis],
        ncols=min(len(swept), 5),
        handlelength=1.6,
        alignment="left",
    )
    figure.legend(handles=lines, loc="outside lower right", ncols=3 if diverged else 2, handlelength=2.8)
