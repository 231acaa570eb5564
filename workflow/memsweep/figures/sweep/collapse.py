"""Curves of all runs before and after time is rescaled: by the step, the normalised step, and fitted exponents."""

from __future__ import annotations

import json
import string
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...analysis.collapse import CURVES, PAPER, SHARES, curves
from ...study.axes import read_axes
from ...study.onsets import ONSETS
from ...tables.parquet import read_table
from .. import style, wording
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "trajectories", "metrics", "collapse")

_WAYS = {"none": "step $\\tau$", "paper": "normalised step $T$", "fitted": "fitted exponents"}
_CUT = 6.0  # times the threshold, where a gap of losses is cut, so that the levels of the spread are seen
_LINES: tuple[style.Dashes, ...] = ((0, ()), (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5)), (0, (8, 2)))


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw one kind of curve of the runs along each axis that stands at logarithms, in three times.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``onset``, whose curve is shown where it has one, else the share of copies;
            ``thresholds`` of the onset; ``palette``.
    """
    runs, trajectories, metrics, table = (read_table(sources[name], name) for name in SOURCES)
    kind = settings["onset"] if settings["onset"] in CURVES else "f_mem"
    rows = curves(kind, trajectories, metrics)
    table = table[table["curve"] == kind]
    along = [swept for swept in SweptAxis.all_among(runs, read_axes(settings)) if swept.logarithmic]
    along = [swept for swept in along if swept.axis.coordinate in set(table["axis"])]
    level, on = settings["thresholds"][ONSETS[kind].threshold], page(settings)
    top = 1.05 if kind in SHARES else _CUT * level
    with style.styled():
        count = max(1, len(along))
        figure = on.figure(single=0.2 + 2.4 * count, double=0.4 + 1.75 * count)
        if on.is_single:  # two panels beside each other, and the legend beside the third
            panels = figure.subplots(2 * count, 2, squeeze=False).reshape(count, len(_WAYS) + 1)
        else:
            panels = figure.subplots(count, len(_WAYS) + 1, squeeze=False, width_ratios=(1, 1, 1, 0.36))
        letters = iter(string.ascii_lowercase)
        for swept, line in zip(along, panels, strict=False):
            colours = swept.colours(settings["palette"])
            dashes = dict(zip(swept.labels, (_LINES * len(colours))[: len(colours)], strict=True))
            looks = {value: {"color": colours[value], "linestyle": dashes[value]} for value in swept.labels}
            for ax, way in zip(line, _WAYS, strict=False):
                found = table[(table["axis"] == swept.axis.coordinate) & (table["exponents"] == way)].to_dict("records")
                _panel(ax, rows, swept, looks, way, found[0] if found else {}, level, top, next(letters), on)
                ax.set_xlabel(_WAYS[way] if way != "fitted" else _fitted(swept, found))
            for place, ax in enumerate(line[:-1]):
                is_left = place % (2 if on.is_single else len(line)) == 0
                ax.set_ylabel(_label(kind) if is_left else "")
                if place:
                    ax.sharey(line[0])
                    ax.tick_params(axis="y", labelleft=is_left)
            _legend(line[-1], swept, looks)
        if not along:
            style.note(panels[0, 0], "no axis of positive numbers\nis swept")
    return figure


def _panel(
    ax: Axes,
    rows: pd.DataFrame,
    swept: SweptAxis,
    looks: Mapping[Any, Mapping[str, Any]],
    way: str,
    found: Mapping[Hashable, Any],
    level: float,
    top: float,
    letter: str,
    on: Page,
) -> None:
    """The curves of the runs along an axis in one time, over the smallest value of the axis."""
    exponent = _exponent(way, swept.axis.coordinate, found)
    style.lettered(ax, letter, _in_words(found, on), size=7)
    if exponent is None:
        style.note(ax, "no exponent to fit")
        return
    smallest = min(swept.numbers.values())
    ax.axhline(level, color="0.45", linestyle=style.DASH_DOTS, linewidth=0.8, zorder=1)
    for run in swept.runs.to_dict("records"):
        curve = rows[rows["run_id"] == run["run_id"]]
        scale = (swept.numbers[run[swept.column]] / smallest) ** -exponent
        ax.plot(curve["step"] * scale, curve["value"], linewidth=0.9, **looks[run[swept.column]])
    if ax.lines[1:]:
        style.logarithmic(ax, "x")
        ax.set_ylim(-0.05 * top, top)


def _exponent(way: str, term: str, found: Mapping[Hashable, Any]) -> float | None:
    """By which power of an axis time is divided: known before any run, but where it is fitted."""
    if way == "fitted":
        return float(json.loads(found["value"])[term]) if found and found["value"] else None
    return 0.0 if way == "none" else PAPER.get(term)


def _in_words(found: Mapping[Hashable, Any], on: Page) -> str:
    """The spread over the pure error, or why there is none."""
    if not found:
        return ""
    if not np.isfinite(found["spread"]):
        return "not every run\npasses a level" if on.is_single else "not every run passes a level"
    if not np.isfinite(found["ratio"]):
        return f"spread {found['spread']:.2f} in $\\log_{{10}}$"
    ends = (wording.ratio_label(found[f"ratio_ci_{end}"]) for end in ("low", "high"))
    between = "\n" if on.is_single else " "
    return f"{wording.ratio_label(found['ratio'])} {wording.TIMES} repetitions{between}[{', '.join(ends)}]"


def _fitted(swept: SweptAxis, found: list[dict[Hashable, Any]]) -> str:
    name = swept.axis.symbol or "x"
    if not found or not found[0]["value"]:
        return _WAYS["fitted"]
    exponent = json.loads(found[0]["value"])[swept.axis.coordinate]
    power = f"{-exponent:.2f}"
    return rf"$\tau \cdot ({name}\,/\,{name}_\mathrm{{min}})^{{{power}}}$"


def _label(kind: str) -> str:
    return {
        "loss_gap_absolute": "test less training loss",
        "loss_gap_relative": "test over training\nloss, less 1",
        "f_mem": r"$f_\mathrm{mem}$",
        "f_mem_calibrated": "calibrated copies",
        "sscd_score": "SSCD score",
    }[kind]


def _legend(ax: Axes, swept: SweptAxis, looks: Mapping[Any, Mapping[str, Any]]) -> None:
    ax.axis("off")
    handles = [Line2D([], [], label=label, **looks[value]) for value, label in swept.labels.items()]
    ax.legend(
        handles=handles, loc="center left", title=wording.axis_name(swept.axis), borderaxespad=0, handlelength=2.6
    )
