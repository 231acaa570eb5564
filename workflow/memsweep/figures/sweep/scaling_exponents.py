"""How the onset of memorisation scales with every axis: the exponents and their intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...study.onsets import DEFINITIONS, DEPARTURES
from ...tables.parquet import read_table
from .. import selection, style, wording

SOURCES = ("scaling",)

_TERMS = ("train_size", "batch_size", "learning_rate", "parameters")
_EXPECTED = {"train_size": (1.0, r"$\propto\, N$"), "batch_size": (-1.0, r"$\propto\, 1/B$")}
_MARKERS = ("o", "s", "D", "^", "v", "P")
_WIDEST = 3.0  # exponents beyond which an interval is cut, so that one vague fit hides no other


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the exponent of each axis under each definition of the onset or departure, with its interval.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``thresholds`` of the onset; ``confidence`` of the intervals.
    """
    scaling = read_table(sources["scaling"], "scaling")
    definitions = [
        *DEFINITIONS,
        *(name for name in DEPARTURES if name in set(scaling["definition"])),
    ]
    terms = [term for term in _TERMS if (scaling.loc[scaling["term"] == term, "runs"] > 0).any()]
    limits = _limits(scaling)
    with style.styled():
        height = 0.9 + (0.1 + 0.21 * len(definitions)) * max(len(terms), 1)
        figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
        # Numbers stand in a column of their own, so that the layout makes room for them.
        grid = figure.subplots(max(len(terms), 1), 2, sharex="col", sharey="row", squeeze=False, width_ratios=(3, 1.7))
        panels, columns = grid[:, 0], grid[:, 1]
        for ax, column, term in zip(panels, columns, terms, strict=False):
            _group(ax, column, term, definitions, scaling[scaling["term"] == term], limits, settings)
        for ax in panels[:-1]:
            ax.spines["bottom"].set_visible(False)
            ax.tick_params(axis="x", length=0)
        for column in columns:
            column.axis("off")
        if not terms:
            style.note(panels[0], "no axis is swept")
        panels[0].set_xlim(*limits)
        panels[-1].set_xlabel(r"exponent $k$ of: onset $\propto$ axis$^{\,k}$, the other axes held fixed")
        _columns(columns[0], -1.1, ("$k$", f"{100 * settings['confidence']:g} % interval", "runs (censored)"))
    return figure


def _limits(scaling: pd.DataFrame) -> tuple[float, float]:
    """Range of exponents to show: all of them, and their intervals within reason."""
    numbers = scaling[["exponent", "ci_low", "ci_high"]].to_numpy(dtype=float).ravel()
    numbers = np.clip(numbers[np.isfinite(numbers)], -_WIDEST, _WIDEST)
    exponents = scaling["exponent"].to_numpy(dtype=float)
    low, high = (
        pick([*numbers, *exponents[np.isfinite(exponents)], limit]) for pick, limit in ((np.min, -1.0), (np.max, 1.0))
    )
    margin = 0.06 * (high - low)
    return float(low - margin), float(high + margin)


def _group(
    ax: Axes,
    column: Axes,
    term: str,
    definitions: Sequence[str],
    rows: pd.DataFrame,
    limits: tuple[float, float],
    settings: Mapping[str, Any],
) -> None:
    """One axis of the grid: a row per definition, and where the normalised step would put it."""
    palette = sns.color_palette("colorblind", max(len(_MARKERS), len(definitions)))
    fits = {fit["definition"]: fit for fit in rows.to_dict("records")}
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    if term in _EXPECTED:
        exponent, law = _EXPECTED[term]
        ax.axvline(exponent, color="0.45", linewidth=0.9, linestyle=style.DASHES, zorder=0)
        ax.set_title(f"dashed: onset {law}", loc="right", size=7, color="0.35", pad=2)
    for place, definition in enumerate(definitions):
        if definition not in fits:
            continue
        fit = fits[definition]
        _interval(ax, place, fit, limits, palette[place])
        exponent = float(fit["exponent"])
        if np.isfinite(exponent):
            ax.plot(exponent, place, marker=_MARKERS[place % len(_MARKERS)], color=palette[place], markersize=4.5)
        _columns(column, place, _numbers(fit))
    labels = [wording.definition_label(definition, settings["thresholds"]) for definition in definitions]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_title(wording.AXIS_LABELS[term], weight="bold", pad=2, loc="left")


def _interval(
    ax: Axes, place: int, fit: Mapping[Hashable, Any], limits: tuple[float, float], colour: style.Colour
) -> None:
    """A bar from end to end; an arrowhead where it goes on past the panel."""
    low, high = float(fit["ci_low"]), float(fit["ci_high"])
    if np.isnan(low) or np.isnan(high):
        return
    ax.plot([max(low, limits[0]), min(high, limits[1])], [place] * 2, color=colour, linewidth=1.3)
    for end, edge, marker in ((low, limits[0], "<"), (high, limits[1], ">")):
        if (end < edge) if marker == "<" else (end > edge):
            ax.plot(edge, place, marker=marker, color=colour, markersize=4, clip_on=False)


def _numbers(fit: Mapping[Hashable, Any]) -> tuple[str, str, str]:
    """The exponent, its interval, and the runs behind it."""
    runs = f"{int(fit['runs'])} ({selection.censored_count(fit)})"
    if not np.isfinite(fit["exponent"]):
        return "", "not estimable", runs
    exponent, low, high = (wording.exponent_label(float(fit[key])) for key in ("exponent", "ci_low", "ci_high"))
    return exponent, f"[{low}, {high}]", runs


def _columns(ax: Axes, place: float, texts: tuple[str, str, str]) -> None:
    """Columns of text, set flush right."""
    for x, text in zip((0.15, 0.58, 1.0), texts, strict=True):
        ax.text(x, place, text, transform=ax.get_yaxis_transform(), ha="right", va="center", size=7)
