"""What each run reaches before it memorises, and how fast it memorises then, along every swept axis."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis import published
from ...study.axes import read_axes
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "peaks", "metrics", "fidelity_trends", "rates", "rate_trends")

_IN_A_ROW, _IN_A_COLUMN = 4, 2  # axes beside each other, over both columns of a page and over one
_WORDS = 22  # points, above a panel, for two lines of words
_TALLEST = 1.5  # how far above the highest rate an interval is drawn, as a factor

_DOT: dict[str, Any] = {"marker": "o", "markersize": 3.5}
_CENSORED: dict[str, Any] = {"marker": "v", "markersize": 4.5, "markerfacecolor": "w", "linestyle": ""}
# A run's distances and this paper's have no common scale: its marks are moved to the runs shown.
_PUBLISHED = f"{published.LABEL}, scaled to these runs"


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw peak fidelity and memorisation rate of each run, one column a swept axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``onset``, the definition of the onset; ``thresholds`` of the onset;
            ``palette``; ``distance``, the feature space; ``formulation``, its name, for the
            published marks (left out where it is not given).
    """
    runs, axes = read_table(sources["runs"], "runs"), read_axes(settings)
    table = read_table(sources["peaks"], "peaks")
    floor = selection.floor(read_table(sources["metrics"], "metrics"), runs, "sliced_wasserstein", settings["distance"])
    definition = settings["onset"]
    table = table[table["definition"] == definition]
    fidelity = table[(table["metric"] == "sliced_wasserstein") & (table["space"] == settings["distance"])]
    fidelity = fidelity[fidelity["value"].notna()]
    trends = _trends_of(read_table(sources["fidelity_trends"], "fidelity_trends"), definition, settings["distance"])
    share = definition if definition in _SHARE_LABELS else "f_mem"
    rates, rate_trends = (_of(read_table(sources[name], name), share) for name in ("rates", "rate_trends"))
    swept = SweptAxis.all_among(runs, axes)

    with style.styled():
        on = page(settings)
        beside = min(len(swept), _IN_A_COLUMN if on.is_single else _IN_A_ROW)
        width = on.width if on.is_single or len(swept) > 1 else on.width / 2
        figure = Figure(figsize=(width, 0.4 + 4 * -(-len(swept) // beside)), layout="constrained")
        tops, bottoms = _panels(figure, len(swept), beside)
        marked = False
        for top, bottom, along in zip(tops, bottoms, swept, strict=True):
            colours = along.colours(settings["palette"])
            peaks = fidelity.merge(along.placed(), on="run_id")
            _fidelities(top, peaks, along.column, colours)
            if floor and len(peaks):
                style.floor(top, floor)
            marked |= _marks(top, peaks, along, settings)
            _trend(top, trends, along)
            _rates(bottom, rates.merge(along.placed(), on="run_id"), along.column, colours)
            _rate_trend(bottom, rate_trends, along)
            along.show(bottom)
        if len(fidelity):
            style.logarithmic(tops[0], "y")
        _from_zero(bottoms[0])
        letters = iter(string.ascii_lowercase)
        for start in range(0, len(swept), beside):
            here = slice(start, start + beside)
            distance = f"sliced Wasserstein to test\n({settings['distance']} space)"
            _name(tops[here], letters, "peak fidelity", distance)
            between = "from {rate_from:g} to {rate_to:g}".format(**settings["rate"])
            rise = f"rise of {_SHARE_LABELS[share]} {between}\nper decade of steps"
            _name(bottoms[here], letters, "memorisation rate", rise)
            figure.align_xlabels(bottoms[here])
        label = wording.definition_label(definition, settings["thresholds"])
        _legend(figure, label, [fidelity, rates], marked, floor is not None, on, narrow=len(swept) < 2)
    return figure


def _panels(figure: Figure, count: int, columns: int) -> tuple[list[Axes], list[Axes]]:
    """So many pairs of panels, one below the other; all upper ones share a scale, and all lower ones."""
    grid = figure.subplots(2 * -(-count // columns), columns, squeeze=False)
    tops, bottoms = (grid[first::2].ravel().tolist() for first in (0, 1))
    for ax in [*tops[count:], *bottoms[count:]]:
        ax.remove()
    for place, (top, bottom) in enumerate(zip(tops[:count], bottoms[:count], strict=True)):
        top.sharex(bottom)
        top.tick_params(labelbottom=False)
        for ax, first in ((top, tops[0]), (bottom, bottoms[0])) if place else ():
            ax.sharey(first)
            ax.tick_params(labelleft=place % columns == 0)
    return tops[:count], bottoms[:count]


def _name(row: Sequence[Axes], letters: Iterator[str], title: str, label: str) -> None:
    """A letter for each panel of a row; what the row shows, at its first."""
    row[0].set_ylabel(label)
    for place, ax in enumerate(row):
        style.lettered(ax, next(letters), "" if place else title, pad=_WORDS if ax.texts else 4)
        if not ax.lines:
            style.note(ax, "no values")


_SHARE_LABELS = {"f_mem": r"$f_\mathrm{mem}$", "f_mem_calibrated": "calibrated copies", "sscd_score": "SSCD score"}


def _of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    return table[table["metric"] == metric]


def _fidelities(ax: Axes, rows: pd.DataFrame, column: str, colours: Mapping[Any, style.Colour]) -> None:
    """Distances with their intervals; censored ones hollow."""
    for row in rows.to_dict("records"):
        place, value, colour = row["place"], row["value"], colours[row[column]]
        # On a logarithmic axis an interval that reaches 0 leaves the panel.
        low = max(row["ci_low"], 0.2 * value)
        ax.plot([place, place], [low, row["ci_high"]], color=colour, linewidth=1, zorder=2)
        ax.plot(place, value, color=colour, zorder=3, **(_CENSORED if row["censored"] else _DOT))


def _rates(ax: Axes, rows: pd.DataFrame, column: str, colours: Mapping[Any, style.Colour]) -> None:
    """Rates with their intervals; what others are at most, hollow; unknown ones in words at their value."""
    top = _TALLEST * rows["value"].fillna(rows["at_most"]).max()
    for row in rows.to_dict("records"):
        place, colour = row["place"], colours[row[column]]
        if np.isnan(row["value"]) and np.isnan(row["at_most"]):
            continue
        ax.plot([place, place], [row["ci_low"], min(row["ci_high"], top)], color=colour, linewidth=1, zorder=2)
        bounded = np.isnan(row["value"])
        value = row["at_most"] if bounded else row["value"]
        ax.plot(place, value, color=colour, zorder=3, **(_CENSORED if bounded else _DOT))
    for _, unknown in rows[rows[["value", "at_most"]].isna().all(axis=1)].groupby(column):
        words = f"no rate yet: {len(unknown)} run{'s' * (len(unknown) > 1)}"
        look: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "bottom", "size": 6.5, "color": "0.4"}
        ax.text(_middle(unknown["place"]), 0.04, words, transform=ax.get_xaxis_transform(), **look)


def _middle(places: pd.Series[float]) -> float:
    """Between the outermost of places on an axis of logarithms, or one of small numbers."""
    low, high = float(places.min()), float(places.max())
    return math.sqrt(low * high) if low > 0 else (low + high) / 2


def _trends_of(table: pd.DataFrame, definition: str, space: str) -> pd.DataFrame:
    """How the peak distance, less its floor, goes with each axis."""
    under = (table["definition"] == definition) & (table["space"] == space)
    return table[under & (table["metric"] == "sliced_wasserstein_corrected")]


def _trend(ax: Axes, trends: pd.DataFrame, along: SweptAxis) -> None:
    for fit in trends[trends["term"] == along.axis.coordinate].head(1).to_dict("records"):
        if along.logarithmic and np.isfinite(fit["exponent"]):
            k, low, high = (wording.exponent_label(float(fit[key])) for key in ("exponent", "ci_low", "ci_high"))
            words = rf"SW$^2$ less floor $\propto {along.axis.symbol or 'x'}^k$" + f"\n$k$ = {k} [{low}, {high}]"
            ax.text(0, 1.03, words, transform=ax.transAxes, ha="left", va="bottom", size=6.5, color="0.25")


def _rate_trend(ax: Axes, trends: pd.DataFrame, along: SweptAxis) -> None:
    for fit in trends[trends["term"] == along.axis.coordinate].head(1).to_dict("records"):
        if along.logarithmic and np.isfinite(fit["trend"]):
            # A difference, as of an exponent, and likewise named
            change, low, high = (wording.exponent_label(float(fit[key])) for key in ("trend", "ci_low", "ci_high"))
            words = rf"per decade of ${along.axis.symbol or 'x'}$:" + f"\n{change} [{low}, {high}]"
            ax.text(0, 1.03, words, transform=ax.transAxes, ha="left", va="bottom", size=6.5, color="0.25")


def _marks(ax: Axes, peaks: pd.DataFrame, along: SweptAxis, settings: Mapping[str, Any]) -> bool:
    """The published first minima at the values shown, moved by one factor to these runs; say whether any."""
    if not along.logarithmic:
        return False
    runs, column = along.runs, along.axis.coordinate
    numbers = published.first_minima(runs, column, settings["onset"], settings["distance"], settings.get("formulation"))
    theirs = {getattr(number.point, column): number.value for number in numbers}
    values = peaks.merge(runs[["run_id", column]].rename(columns={column: "at"}), on="run_id")
    ours: dict[float, float] = {}
    for at in theirs:
        near = values[np.isclose(values["at"].astype(float), at, rtol=published.SAME_PARAMETERS)]
        if len(near):
            ours[at] = float(np.log(near["value"]).mean())
    if len(ours) < 2:  # one mark, moved to its run, says nothing
        return False
    factor = float(np.exp(np.mean([ours[at] - np.log(theirs[at]) for at in ours])))
    style.published_marks(ax, [(at, factor * theirs[at], "exact") for at in ours])
    return True


def _from_zero(ax: Axes) -> None:
    """An axis that shows 0, from which rates are judged, less only where an interval does."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0), high)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(
    figure: Figure, onset: str, tables: Sequence[pd.DataFrame], marked: bool, floored: bool, on: Page, narrow: bool
) -> None:
    """The shapes that occur, below the panels."""
    fidelity, rates = tables
    handles = [Line2D([], [], color=style.INK, linewidth=1, label="run and its interval", **_DOT)]
    if fidelity["censored"].any() or rates["at_most"].notna().any():
        handles.append(Line2D([], [], color=style.INK, label="at most: run ended before", **_CENSORED))
    if floored:
        handles.append(Line2D([], [], label="real images", **style.FLOOR))
    if marked:
        handles.append(Line2D([], [], label=_PUBLISHED, **style.PUBLISHED))
    on.legend(figure, handles, 1 if narrow else len(handles), title=f"onset of memorisation: {onset}")
