"""The law of each definition of the onset, drawn out to a run that nobody has trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from ..analysis.predict import Outlook
from ..study.onsets import ONSETS
from . import style

_COLUMNS = 3
_HEIGHT = 2.1  # inches of a row of panels
_CURVE = 60  # points of a line


def draw(outlooks: Sequence[Outlook], point: Mapping[str, object], thresholds: Mapping[str, float]) -> Figure:
    """Draw a panel for each definition that has a law, along the axis on which the run lies furthest out.

    Args:
        outlooks: what the laws say of the run.
        point: the run, as of `analysis.predict.outlooks`.
        thresholds: the config's ``onset``.
    """
    shown = [outlook for outlook in outlooks if not math.isnan(outlook.onset.median)]
    columns = min(_COLUMNS, max(len(shown), 1))
    rows = -(-max(len(shown), 1) // columns)
    with style.styled():
        figure = Figure(figsize=(style.WIDTH, _HEIGHT * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for ax, outlook in zip_longest(panels, shown):
            if outlook is None:
                ax.remove()
                continue
            _panel(ax, outlook, point)
            ax.set_title(ONSETS[outlook.definition].label(thresholds), fontsize=8)
        if not shown:
            figure.text(0.5, 0.5, "No definition has a law that reaches this run.", ha="center")
        figure.legend(handles=_handles(), loc="outside lower center", ncols=3, fontsize=7, frameon=False)
        return figure


def _panel(ax: Axes, outlook: Outlook, point: Mapping[str, object]) -> None:
    axis = furthest(outlook, point)
    known = outlook.law.runs
    value = float(point[axis])  # type: ignore[arg-type]
    low, high = min(float(known[axis].min()), value), max(float(known[axis].max()), value)
    along = np.geomspace(low, high, _CURVE)
    found = pd.DataFrame([vars(outlook.law.predict({**point, axis: each})) for each in along])
    ax.fill_between(along, found["pi_low"], found["pi_high"], color="0.88", linewidth=0)
    ax.fill_between(along, found["ci_low"], found["ci_high"], color="0.72", linewidth=0)
    ax.plot(along, found["median"], color=style.INK, linewidth=1.2)
    for side, marker in (("left_censored", "v"), ("censored", "^"), ("", "o")):
        rows = known[~known["censored"] & ~known["left_censored"]] if not side else known[known[side]]
        alike = _alike(rows, point, axis)
        for these, face in ((rows[alike], style.INK), (rows[~alike], "w")):
            ax.plot(these[axis], these["step"], marker, color=style.INK, mfc=face, markersize=3.5, linestyle="none")
    onset = outlook.onset
    reach = [[onset.median - onset.pi_low], [onset.pi_high - onset.median]]
    ax.errorbar(value, onset.median, yerr=reach, fmt="D", color=style.INK, markersize=5, capsize=3)
    ax.set(xscale="log", yscale="log", xlabel=_title(outlook, axis), ylabel="step")
    ticks = sorted({*known[axis].unique().tolist(), value})
    ax.set_xticks(ticks, [f"{tick:,.6g}" for tick in ticks], fontsize=7, rotation=45 if len(ticks) > 4 else 0)
    ax.xaxis.set_minor_locator(NullLocator())
    if math.isfinite(onset.pi_high) and onset.pi_high < 1e3 * onset.median:
        return
    steps = [*known["step"], onset.median]
    ax.set_ylim(min(steps) / 10, max(steps) * 10)


def furthest(outlook: Outlook, point: Mapping[str, object]) -> str:
    """The numeric axis on which the run is furthest from what is swept; the one with most values where it is within."""
    known = outlook.law.runs
    numeric = [axis.coordinate for axis in outlook.law.axes if axis.numeric and axis.coordinate in point]
    swept = [axis for axis in numeric if pd.api.types.is_numeric_dtype(known[axis])]

    def distance(axis: str) -> tuple[float, int]:
        value, low, high = float(point[axis]), known[axis].min(), known[axis].max()  # type: ignore[arg-type]
        return max(value / high, low / value, 1.0), known[axis].nunique()

    return max(swept, key=distance)


def _alike(rows: pd.DataFrame, point: Mapping[str, object], axis: str) -> pd.Series[bool]:
    """Which runs differ from the point along one axis only, repetitions aside."""
    aside = {axis, "seed", "subset", *(("base_channels",) if axis == "parameters" else ())}
    others = [name for name in point if name in rows and name not in aside and not (name == "parameters" and axis)]
    same = pd.Series(True, index=rows.index)
    for name in others:
        same &= rows[name] == point[name]
    return same


def _title(outlook: Outlook, axis: str) -> str:
    return (
        next(known.title for known in outlook.law.axes if known.coordinate == axis)
        if axis != "parameters"
        else ("parameters")
    )


def _handles() -> list[Line2D | Patch]:
    def mark(marker: str, label: str, face: str = style.INK) -> Line2D:
        return Line2D([], [], marker=marker, linestyle="none", color=style.INK, mfc=face, markersize=4, label=label)

    return [
        mark("D", "the run, with its prediction interval"),
        mark("o", "runs that differ along this axis alone"),
        mark("o", "other runs", "w"),
        Patch(color="0.72", label="median, its confidence interval"),
        Patch(color="0.88", label="prediction interval of new runs"),
        mark("^", "the onset lies beyond (ended before it)"),
    ]
