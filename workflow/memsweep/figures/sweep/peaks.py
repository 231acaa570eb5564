"""What each run reaches before it memorises, and how fast it memorises then, along every swept axis."""

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

from ...analysis import published
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..swept_axis import coordinate, places_of, show_values

SOURCES = ("runs", "peaks")

_DOT: dict[str, Any] = {"marker": "o", "markersize": 3.5}
_CENSORED: dict[str, Any] = {"marker": "v", "markersize": 4.5, "markerfacecolor": "w", "linestyle": ""}
_UNKNOWN: dict[str, Any] = {"marker": "x", "markersize": 4, "linestyle": ""}
# A run's distances and this paper's have no common scale: its marks are moved to the runs shown.
_PUBLISHED = f"{published.LABEL}, scaled to these runs"


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw peak fidelity and memorisation rate of each run, one column a swept axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``onset``, the definition of the onset; ``thresholds`` of the onset;
            ``palette``; ``distance``, the feature space; ``formulation``, its name, for the
            published marks (left out where it is not given).
    """
    runs = read_table(sources["runs"], "runs")
    table = read_table(sources["peaks"], "peaks")
    definition = settings["onset"]
    table = table[table["definition"] == definition]
    fidelity = table[(table["quantity"] == "peak_fidelity") & (table["space"] == settings["distance"])]
    fidelity = fidelity[(fidelity["metric"] == "sliced_wasserstein") & fidelity["value"].notna()]
    share = "sscd_score" if definition == "sscd_score" else "f_mem"
    rates = table[(table["quantity"] == "memorisation_rate") & (table["metric"] == share)]
    swept = selection.swept(runs)

    with style.styled():
        width = style.WIDTH if len(swept) > 1 else style.WIDTH / 2
        figure = Figure(figsize=(width, 4.4), layout="constrained")
        panels = figure.subplots(2, len(swept), sharex="col", sharey="row", squeeze=False)
        marked = False
        for (top, bottom), axis in zip(panels.T, swept, strict=True):
            shown = selection.along(runs, axis)
            colours = style.colours(shown[axis].tolist(), settings["palette"])
            places = places_of(shown, axis)
            peaks = fidelity.merge(places, on="run_id")
            _points(top, peaks, axis, colours)
            marked |= _marks(top, peaks, shown, axis, settings)
            _points(bottom, rates.merge(places, on="run_id"), axis, colours)
            show_values(bottom, shown, axis)
        if len(fidelity):
            style.logarithmic(panels[0, 0], "y")
        _from_zero(panels[1, 0])
        titles = ["peak fidelity", *[""] * (len(swept) - 1), "memorisation rate", *[""] * (len(swept) - 1)]
        for ax, letter, title in zip(panels.ravel(), "abcdefgh", titles, strict=False):
            style.lettered(ax, letter, title)
            if not ax.lines:
                style.note(ax, "no values")
        panels[0, 0].set_ylabel(f"sliced Wasserstein to test\n({settings['distance']} space)")
        panels[1, 0].set_ylabel(f"rise of {_SHARE_LABELS[share]}\nper decade of steps")
        figure.align_xlabels(panels[1])
        label = wording.definition_label(definition, settings["thresholds"])
        _legend(figure, label, [fidelity, rates], marked, narrow=len(swept) < 2)
    return figure


_SHARE_LABELS = {"f_mem": r"$f_\mathrm{mem}$", "sscd_score": "SSCD score"}


def _points(ax: Axes, rows: pd.DataFrame, axis: str, colours: Mapping[float, style.Colour]) -> None:
    """Values with their intervals; censored ones hollow; unknown ones as crosses at the foot."""
    for row in rows.to_dict("records"):
        place, value, colour = row["place"], row["value"], colours[row[axis]]
        if np.isnan(value):
            ax.plot(place, 0.03, transform=ax.get_xaxis_transform(), color=colour, zorder=3, **_UNKNOWN)
            continue
        # On a logarithmic axis an interval that reaches 0 leaves the panel.
        low = max(row["ci_low"], 0.2 * value) if row["quantity"] == "peak_fidelity" else row["ci_low"]
        ax.plot([place, place], [low, row["ci_high"]], color=colour, linewidth=1, zorder=2)
        ax.plot(place, value, color=colour, zorder=3, **(_CENSORED if row["censored"] else _DOT))


def _marks(ax: Axes, peaks: pd.DataFrame, runs: pd.DataFrame, axis: str, settings: Mapping[str, Any]) -> bool:
    """The published first minima at the values shown, moved by one factor to these runs; say whether any."""
    column = coordinate(axis)
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
    """An axis that shows 0, from which rates are judged, and less only where an interval does."""
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0), high)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(figure: Figure, onset: str, tables: Sequence[pd.DataFrame], marked: bool, narrow: bool) -> None:
    """The shapes that occur, below the panels."""
    fidelity, rates = tables
    handles = [Line2D([], [], color=style.INK, linewidth=1, label="run and its interval", **_DOT)]
    if fidelity["censored"].any():
        handles.append(Line2D([], [], color=style.INK, label="run ended before its onset", **_CENSORED))
    if rates["value"].isna().any():
        handles.append(Line2D([], [], color=style.INK, label="no rate yet", **_UNKNOWN))
    if marked:
        handles.append(Line2D([], [], label=_PUBLISHED, **style.PUBLISHED))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=1 if narrow else len(handles),
        title=f"onset of memorisation: {onset}",
    )
