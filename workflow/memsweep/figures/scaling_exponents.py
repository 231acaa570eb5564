"""How the onset of memorisation scales with every axis: the exponents and their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..tables import read_table
from . import style

SOURCES = ("scaling",)

_TERMS = ("train_size", "batch_size", "learning_rate", "parameters")
_EXPECTED = {"train_size": 1.0, "batch_size": -1.0}
_MARKERS = ("o", "s", "D", "^")
_WIDEST = 3.0  # exponents beyond which an interval is cut, so that one vague fit hides no other


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the exponent of each axis under each definition of the onset, with its interval.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``thresholds`` of the onset; ``confidence`` of the intervals.
    """
    scaling = read_table(sources["scaling"], "scaling")
    terms = [term for term in _TERMS if (scaling["term"] == term).any()]
    limits = _limits(scaling)
    with style.styled():
        height = 0.9 + 0.95 * max(len(terms), 1)
        figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
        panels = figure.subplots(max(len(terms), 1), 1, sharex=True, squeeze=False).ravel()
        for ax, term in zip(panels, terms, strict=False):
            _group(ax, term, scaling[scaling["term"] == term], limits, settings)
        if not terms:
            style.note(panels[0], "no exponents")
        panels[0].set_xlim(*limits)
        panels[-1].set_xlabel(r"exponent $k$ of: onset $\propto$ axis$^{\,k}$, the other axes held fixed")
        _header(panels[0], settings["confidence"])
    return figure


def _limits(scaling: pd.DataFrame) -> tuple[float, float]:
    """Range of exponents to show: all of them, and their intervals within reason."""
    numbers = scaling[["exponent", "ci_low", "ci_high"]].to_numpy(dtype=float).ravel()
    numbers = np.clip(numbers[np.isfinite(numbers)], -_WIDEST, _WIDEST)
    exponents = scaling["exponent"].to_numpy(dtype=float)
    low, high = (
        pick([*numbers, *exponents[np.isfinite(exponents)], limit])
        for pick, limit in ((np.min, -1.0), (np.max, 1.0))
    )
    margin = 0.06 * (high - low)
    return float(low - margin), float(high + margin)


def _group(
    ax: Axes, term: str, rows: pd.DataFrame, limits: tuple[float, float], settings: Mapping[str, Any]
) -> None:
    """One axis of the grid: a row a definition, and the exponent that theory gives."""
    palette = sns.color_palette("colorblind", len(style.DEFINITIONS))
    fits = rows.set_index("definition")
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    if term in _EXPECTED:
        ax.axvline(_EXPECTED[term], color="0.45", linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    for place, definition in enumerate(style.DEFINITIONS):
        if definition not in fits.index:
            continue
        fit = fits.loc[definition]
        _interval(ax, place, fit, limits, palette[place])
        exponent = float(fit["exponent"])
        if np.isfinite(exponent):
            ax.plot(exponent, place, marker=_MARKERS[place], color=palette[place], markersize=4.5)
        _columns(ax, place, _numbers(fit), f"{int(fit['runs'])} ({int(fit['censored_runs'])})")
    labels = [style.definition_label(definition, settings["thresholds"]) for definition in style.DEFINITIONS]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_title(style.AXIS_LABELS[term], weight="bold", pad=2)


def _interval(ax: Axes, place: int, fit: pd.Series[Any], limits: tuple[float, float], colour: style.Colour) -> None:
    """A bar from end to end; an arrowhead where it goes on past the panel."""
    low, high = float(fit["ci_low"]), float(fit["ci_high"])
    if np.isnan(low) or np.isnan(high):
        return
    ax.plot([max(low, limits[0]), min(high, limits[1])], [place] * 2, color=colour, linewidth=1.3)
    for end, edge, marker in ((low, limits[0], "<"), (high, limits[1], ">")):
        if (end < edge) if marker == "<" else (end > edge):
            ax.plot(edge, place, marker=marker, color=colour, markersize=4, clip_on=False)


def _numbers(fit: pd.Series[Any]) -> str:
    if not np.isfinite(fit["exponent"]):
        return "not estimable"
    return f"{fit['exponent']:.2f}  [{fit['ci_low']:.2f}, {fit['ci_high']:.2f}]".replace("-", "−")


def _columns(ax: Axes, place: float, numbers: str, runs: str) -> None:
    """Two columns of text right of the panel."""
    for x, text in ((1.19, numbers), (1.37, runs)):
        ax.text(x, place, text, transform=ax.get_yaxis_transform(), ha="right", va="center", size=7)


def _header(ax: Axes, confidence: float) -> None:
    _columns(ax, -1.15, f"exponent [{100 * confidence:g} %]", "runs (censored)")
