"""A training of any model along its steps: share of copies, distances and losses, and the onsets found in them."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform

from ..analysis.given import Course
from ..metrics.floors import PEAK_DISTANCE
from ..study.onsets import DEFINITIONS, ONSETS
from . import selection, style, wording
from .curves import TEST, TRAIN, banded, fit_shares, linear, logarithmic, threshold

_COPIES = tuple(name for name in DEFINITIONS if ONSETS[name].of == "copies")
_HEIGHT, _LEGEND = 2.35, 0.75  # of the panels, and of the legends below them, in inches
_MARK_ROW = 0.09  # between the marks at the foot of a panel, of its height


def draw(course: Course) -> Figure:
    """Draw the curves of a training in a panel each for copies, distances and, where there are any, losses.

    An onset is a dot on its interval, hollow and an arrowhead where it lies beyond the first or last step; that of
    copies stands at the share where copying starts, those of losses at the foot of their panel.
    """
    panels = [_copies, _distances, *([_losses] if len(course.trajectories) else [])]
    with style.styled():
        figure = Figure(figsize=(style.WIDTH, _HEIGHT + _LEGEND), layout="constrained")
        drawn = figure.subplots(1, len(panels), sharex=True, squeeze=False).ravel().tolist()
        for ax, panel, letter in zip(drawn, panels, string.ascii_lowercase, strict=False):
            title, label = panel(ax, course)
            style.lettered(ax, letter, title)
            ax.set(xlabel=wording.TIME_LABELS["step"], ylabel=label)
        style.logarithmic(drawn[0], "x")
        _legends(figure, course)
    return figure


def _colours() -> Mapping[str, style.Colour]:
    """The same for a definition whatever was given."""
    return style.distinct_colours(DEFINITIONS)


def _copies(ax: Axes, course: Course) -> tuple[str, str]:
    level = course.onset["f_mem"]
    threshold(ax, level)
    for name in _COPIES:
        rows = _of(course, name, "train")
        if len(rows):
            banded(ax, rows, _colours()[name], TRAIN)
            for rate in _of(course, f"{name}_held_out", "train", whole=True)["mean"]:
                ax.axhline(rate, color=_colours()[name], linestyle=style.DOTS, linewidth=0.9, zorder=1)
    linear(ax)
    fit_shares(ax, level)
    for row in _onsets(course, "copies"):
        _mark(ax, row, level, ax.transData, course.metrics["step"].dropna())
    return "copies", "share of samples"


def _distances(ax: Axes, course: Course) -> tuple[str, str]:
    banded(ax, _of(course, PEAK_DISTANCE, "train"), style.INK, TRAIN)
    held_out = _of(course, PEAK_DISTANCE, "test")
    if len(held_out):
        banded(ax, held_out, style.INK, TEST)
        floor = _of(course, f"{PEAK_DISTANCE}_floor", "test")
        ax.plot(floor["time"], floor["mean"], marker="" if len(floor) > 1 else "_", **style.FLOOR)
    logarithmic(ax)
    return "distance of the samples", wording.distance_label(PEAK_DISTANCE, course.space)


def _losses(ax: Axes, course: Course) -> tuple[str, str]:
    losses = course.trajectories.rename(columns={"loss": "value"})
    for split, dashes in (("train", TRAIN), ("test", TEST)):
        banded(ax, _curve(losses[losses["split"] == split]), style.INK, dashes)
    if losses["value"].min() > 0:
        logarithmic(ax)
    else:
        linear(ax)
    marks = _onsets(course, "losses")
    low, high = ax.transScale.transform([(1, end) for end in ax.get_ylim()])[:, 1]
    beneath = low - (high - low) * _MARK_ROW * (len(marks) + 0.5)
    ax.set_ylim(bottom=ax.transScale.inverted().transform((0, beneath))[1])
    for place, row in enumerate(marks):
        _mark(ax, row, _MARK_ROW * (place + 0.75), ax.get_xaxis_transform(), losses["step"])
    return "loss", "mean loss"


def _of(course: Course, metric: str, reference: str, whole: bool = False) -> pd.DataFrame:
    """The curve of a metric, or its value for the whole run."""
    rows = course.metrics[course.metrics["step"].isna() == whole]
    return _curve(selection.metric(rows, metric, reference, course.space))


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    """As `curves.banded` has it; without an interval the band is no wider than the line."""
    low, high = (rows[end].fillna(rows["value"]) for end in ("ci_low", "ci_high"))
    time = rows["step"].astype("Float64").to_numpy(float, na_value=np.nan)
    return pd.DataFrame({"time": time, "mean": rows["value"], "low": low, "high": high})


def _onsets(course: Course, of: str) -> list[dict[Hashable, Any]]:
    return [row for row in course.onsets.to_dict("records") if ONSETS[row["definition"]].of == of]


def _mark(ax: Axes, row: Mapping[Hashable, Any], height: float, transform: Transform, steps: pd.Series[Any]) -> None:
    """An onset with what of its interval lies among the steps."""
    look: dict[str, Any] = {"color": _colours()[str(row["definition"])], "transform": transform, "zorder": 3}
    first, last = float(steps.min()), float(steps.max())
    if not np.isnan(row["ci_low"]):
        ax.plot([max(first, row["ci_low"]), min(last, row["ci_high"])], [height, height], linewidth=2, **look)
    shape = ">" if row["censored"] else "<" if row["left_censored"] else "o"
    look |= {} if shape == "o" else {"markerfacecolor": "w"}
    ax.plot(max(first, row["step"]), height, marker=shape, markersize=5, clip_on=False, **look)


def _legends(figure: Figure, course: Course) -> None:
    """What was found on the left, in its colours, styles of lines on the right."""
    shown = [name for name in DEFINITIONS if name in _COPIES and len(_of(course, name, "train"))]
    shown += [str(row["definition"]) for row in _onsets(course, "losses")]
    found = [
        Line2D([], [], color=_colours()[name], marker="o", label=ONSETS[name].label(course.onset)) for name in shown
    ]
    lines = [
        Line2D([], [], color=style.INK, linestyle=TRAIN, label="train"),
        Line2D([], [], color="0.45", linestyle=style.DASH_DOTS, label="onset threshold"),
    ]
    if len(_of(course, PEAK_DISTANCE, "test")) or len(course.trajectories):
        lines.insert(1, Line2D([], [], color=style.INK, linestyle=TEST, label="held out"))
    if len(_of(course, PEAK_DISTANCE, "test")):
        lines.append(Line2D([], [], color=style.INK, linestyle=style.DOTS, label="held-out images instead"))
    look: dict[str, Any] = {"color": style.INK, "linestyle": "", "markerfacecolor": "w"}
    for side, shape, label in (("censored", ">", "later than here"), ("left_censored", "<", "by the first step")):
        if course.onsets[side].any():
            lines.append(Line2D([], [], marker=shape, label=label, **look))
    figure.legend(handles=found, loc="outside lower left", title="onset", ncols=2, alignment="left")
    figure.legend(handles=lines, loc="outside lower right", ncols=2, handlelength=2.8)
