"""Clocks beside each other: when networks leave Gaussian statistics, lean to their own images, and memorise."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ...study.axes import read_axes
from ...study.onsets import DEPARTURES, among
from ...tables.parquet import read_table
from .. import style, wording
from ..fits import band, height, margin, seen
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "onsets", "scaling")

_LINE = 9.5  # points from line to line of text
_LETTERS = 58  # of a line of text over a panel

Fit = Mapping[Hashable, Any]
Entry = tuple[str, dict[str, Any]]
"""Words, and the look of the mark before them, if there is one."""


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the clocks of each run that there are, one panel a swept axis, with their power laws.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``onset``, the definition of the onset of memorisation; ``thresholds`` of the
            onset, with ``departure``.
    """
    runs, axes = read_table(sources["runs"], "runs"), read_axes(settings)
    onsets = read_table(sources["onsets"], "onsets")
    onsets = onsets[onsets["step"] > 0]  # a run that was never evaluated says nothing
    scaling = read_table(sources["scaling"], "scaling")
    clocks = _clocks(onsets, settings["onset"])
    swept = SweptAxis.all_among(runs, axes)
    on = page(settings)
    columns = on.across(min(2, len(swept)))
    rows = -(-len(swept) // columns)

    with style.styled():
        words = _LINE * _most_lines(len(clocks), on) / 72
        figure = on.figure(single=1.1 + (1.5 + words) * rows, double=0.9 + (2.3 + words) * rows)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel().tolist()
        for ax in panels[len(swept) :]:
            ax.remove()
        for ax, along, letter in zip(panels, swept, string.ascii_lowercase, strict=False):
            placed = along.placed()
            laws: list[Entry] = []
            for definition, (colour, marker) in clocks.items():
                here = onsets[onsets["definition"] == definition].merge(placed, on="run_id")
                _points(ax, here, colour, marker)
                if along.logarithmic:
                    fit = _fit(scaling, definition, along.axis.coordinate)
                    numbers = here.assign(value=here[along.column].map(along.numbers))
                    _line(ax, numbers, fit, colour, settings["confidence"])
                    laws.append((_exponent(fit, here), {"color": colour, "marker": marker}))
            lines = _lines(laws, rf"step $\propto {along.axis.symbol or 'x'}^k$", on)
            departures = among(clocks, DEPARTURES)
            if along.logarithmic and departures:
                gap = _difference(scaling, departures[-1], settings["onset"], along.axis.coordinate)
                less = "less that of departure" if on.is_single else "less $k$ of the last departure"
                lines += [[(f"$k$ of copies {less}: {gap}", {})]] if gap else []
            room = _LINE * _most_lines(len(clocks), on) if lines else 2
            letters = on.line - 10 if on.is_single else _LETTERS
            style.lettered(ax, letter, along.held_fixed(letters), size=7, pad=4 + room)
            _say(ax, lines)
            along.show(ax)
        _steps(panels[: len(swept)], onsets[onsets["definition"].isin(clocks)])
        for ax in panels[: len(swept) : columns]:
            ax.set_ylabel("step")
        _legend(figure, clocks, settings["thresholds"], onsets, on)
    return figure


def _clocks(onsets: pd.DataFrame, onset: str) -> dict[str, tuple[style.Colour | str, str]]:
    """The clocks that there are, in the order in which they mostly come, each with its colour and marker."""
    blue, orange, green, vermilion, purple, brown = sns.color_palette("colorblind", 6)
    looks: dict[str, tuple[style.Colour | str, str]] = {
        "departure": (blue, "o"),
        "departure_mixture": (orange, "s"),
        "bias": (green, "P"),
        "split": (brown, "X"),
        "test_loss_minimum": (purple, "^"),
        onset: (vermilion, "D"),
    }
    kept = {onset, *onsets["definition"]}
    return {name: look for name, look in looks.items() if name in kept}


def _fit(scaling: pd.DataFrame, definition: str, term: str) -> Fit:
    rows = scaling[(scaling["definition"] == definition) & (scaling["term"] == term)]
    return rows.to_dict("records")[0] if len(rows) else dict.fromkeys(["exponent", "ci_low", "ci_high"], np.nan)


def _points(ax: Axes, rows: pd.DataFrame, colour: style.Colour | str, marker: str) -> None:
    """Steps with their intervals; those of censored runs hollow."""
    for row in rows.to_dict("records"):
        if row["censored"] or row["left_censored"]:
            style.censored_onset(ax, row["place"], row, colour)
            continue
        ax.plot([row["place"]] * 2, style.ends(row), color=colour, linewidth=1, zorder=2)
        ax.plot(row["place"], row["step"], marker=marker, color=colour, markersize=3.5, zorder=3)


def _line(ax: Axes, rows: pd.DataFrame, fit: Fit, colour: style.Colour | str, confidence: float) -> None:
    """The fitted power law with its band."""
    values = seen(rows)["value"]
    if not len(values) or not np.isfinite(fit["exponent"]):
        return
    pivot = float(np.exp(np.log(values.to_numpy(float)).mean()))
    exponent, ends = float(fit["exponent"]), (float(fit["ci_low"]), float(fit["ci_high"]))
    relative = (rows["value"].astype(float) / pivot) ** exponent
    at_pivot, about = height(rows, relative), margin(rows, relative, confidence)
    ratio = np.geomspace(rows["value"].min() / 1.1, rows["value"].max() * 1.1, 50) / pivot
    ax.plot(ratio * pivot, at_pivot * ratio**exponent, color=colour, linewidth=1.1, zorder=1)
    if np.isfinite([*ends, about]).all():
        edges = band(ratio, at_pivot, about, exponent, ends)
        ax.fill_between(ratio * pivot, *edges, color=colour, alpha=0.12, linewidth=0)


def _exponent(fit: Fit, rows: pd.DataFrame) -> str:
    """An exponent with its interval in words."""
    if not np.isfinite(fit["exponent"]):
        all_ended = len(rows) and rows["censored"].all()
        return "every run ended before it" if all_ended else "not estimable"
    exponent, low, high = (wording.exponent_label(float(fit[key])) for key in ("exponent", "ci_low", "ci_high"))
    return f"$k$ = {exponent} [{low}, {high}]"


def _difference(scaling: pd.DataFrame, departure: str, onset: str, term: str) -> str:
    """How much faster memorisation recedes than a departure, with its interval; empty where one is unknown.

    The interval is that of Zou & Donner 2008. The two exponents rest on the same runs and are taken as
    independent, so where they rise and fall together the interval is a wide one.
    """
    early, late = (_fit(scaling, definition, term) for definition in (departure, onset))
    gap = late["exponent"] - early["exponent"]
    if not np.isfinite(gap):
        return ""
    low = gap - np.hypot(late["exponent"] - late["ci_low"], early["ci_high"] - early["exponent"])
    high = gap + np.hypot(late["ci_high"] - late["exponent"], early["exponent"] - early["ci_low"])
    numbers = [wording.exponent_label(float(number)) for number in (gap, low, high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _most_lines(clocks: int, on: Page) -> int:
    """Lines of text above a panel: of so many clocks, and of a difference."""
    return 2 + -(-clocks // 2) if on.is_single else clocks + 1


def _lines(laws: Sequence[Entry], law: str, on: Page) -> list[list[Entry]]:
    """Lines of text for the exponents: the law before each, or over one column once, and exponents side by side."""
    if not on.is_single or not laws:
        return [[(f"{law},  {exponent}", look)] for exponent, look in laws]
    return [[(f"{law}:", {})], *(list(laws[first : first + 2]) for first in range(0, len(laws), 2))]


def _say(ax: Axes, lines: Sequence[Sequence[Entry]]) -> None:
    """Lines of text above a panel, each entry behind the mark of what it says."""
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    for place, line in enumerate(reversed(lines)):
        up = 3 + _LINE * place
        size = 6.5 if len(line) > 1 else 7
        for start, (text, look) in zip((0.0, 0.52), line, strict=False):
            ax.annotate(text, (start, 1), (10 if look else 0, up), color=style.INK, size=size, **above)
            if look:
                beside = ax.transAxes + ScaledTranslation(4 / 72, (up + 2.5) / 72, ax.figure.dpi_scale_trans)
                mark = Line2D([start], [1], linestyle="", markersize=3.5, transform=beside, clip_on=False, **look)
                ax.add_artist(mark)


def _steps(panels: Sequence[Axes], onsets: pd.DataFrame) -> None:
    """One logarithmic axis of steps for all panels."""
    if len(onsets):
        panels[0].set_yscale("log")
        panels[0].set_ylim(float(onsets["step"].min()) / 1.8, float(onsets["step"].max()) * 1.8)
        style.logarithmic(panels[0], "y")
    else:
        for ax in panels:
            style.note(ax, "no values")


def _legend(
    figure: Figure,
    clocks: Mapping[str, tuple[style.Colour | str, str]],
    thresholds: Mapping[str, float],
    onsets: pd.DataFrame,
    on: Page,
) -> None:
    look: dict[str, Any] = {"markersize": 3.5, "linewidth": 1}
    handles = [
        Line2D([], [], color=colour, marker=marker, label=wording.definition_label(name, thresholds), **look)
        for name, (colour, marker) in clocks.items()
    ]
    handles += style.censored_handles(onsets[onsets["definition"].isin(clocks)])
    on.legend(figure, handles, 3)
