"""When memorisation starts along one swept axis."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...analysis import published
from ...study.axes import read_axes, text
from ...study.onsets import DEFINITIONS, among
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..fits import band, height, margin, seen
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "onsets", "scaling", "ratios")

_EXPECTED = {"train_size": (1.0, r"$\tau \propto N$"), "batch_size": (-1.0, r"$\tau \propto 1/B$")}
"""Exponents at which the curves of all runs fall together in the normalised step."""

_HALF = 0.28  # of the distance between values, on either side of one, is a fitted level
_LETTERS = 62  # of a line of text over a panel


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the onset of each run along an axis, one panel a definition, with what is fitted to it.

    That is a power law, or where the axis stands at no logarithms, the ratios of onsets to that at the base value.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``axis``, the column of the swept one; ``palette``; ``thresholds`` of
            the onset; ``formulation``, its name, for the published onsets (left out where it is not given).
    """
    axes = read_axes(settings)
    axis = next(axis for axis in axes if axis.column == settings["axis"])
    swept = SweptAxis.among(read_table(sources["runs"], "runs"), axes, axis)
    onsets = read_table(sources["onsets"], "onsets").merge(swept.placed(), on="run_id")
    definitions = among(onsets["definition"]) or DEFINITIONS  # departures are another clock
    onsets = onsets[onsets["definition"].isin(definitions)]
    onsets = onsets[onsets["step"] > 0]  # a run that was never evaluated says nothing
    scaling, ratios = read_table(sources["scaling"], "scaling"), read_table(sources["ratios"], "ratios")
    fits = {fit["definition"]: fit for fit in scaling[scaling["term"] == axis.coordinate].to_dict("records")}
    ratios = ratios[ratios["axis"] == axis.column]
    colours = swept.colours(settings["palette"])

    with style.styled():
        on = page(settings)
        columns = on.across(2 if len(definitions) <= 4 else 3)
        rows = -(-len(definitions) // columns)
        figure = on.figure(single=1.3 + 1.35 * rows, double=0.7 + 2.3 * rows)
        on.heading(figure, swept.held_fixed(on.line))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
        marked: list[float] = []
        for ax, letter, definition in zip(panels, string.ascii_lowercase, definitions, strict=False):
            here = onsets[onsets["definition"] == definition]
            style.lettered(ax, letter, wording.definition_label(definition, settings["thresholds"]), pad=25)
            _points(ax, here, axis.column, colours)
            if seen(here).empty:
                every_run_ended = "every run ended before the onset" if len(here) else "no runs"
                _say(ax, every_run_ended if here["censored"].all() else "every onset is censored")
            elif len(ratios) and not swept.logarithmic:
                _ratios(ax, here, swept, ratios[ratios["definition"] == definition])
            else:
                _power_law(ax, here, swept, fits.get(definition), settings["confidence"])
            marked += _published(ax, swept, definition, settings)
        if len(onsets):
            _steps(panels[0], [*onsets["step"], *marked])
        for ax in panels[len(definitions) :]:
            ax.remove()
        for ax in panels[len(definitions) - columns : len(definitions)]:
            ax.tick_params(axis="x", labelbottom=True)
            swept.show(ax)
        for ax in panels[::columns]:
            ax.set_ylabel("onset (steps)" if on.is_single else "onset of memorisation (steps)")
        _legend(figure, onsets, swept, ratios, bool(marked), on)
    return figure


def _points(ax: Axes, rows: pd.DataFrame, column: str, colours: Mapping[Any, style.Colour]) -> None:
    """Onsets with their intervals; those of censored runs as hollow triangles."""
    for row in rows.to_dict("records"):
        place, step, colour = row["place"], row["step"], colours[row[column]]
        if row["censored"] or row["left_censored"]:
            style.censored_onset(ax, place, row, colour)
            continue
        # Where the run does not bound the onset, the interval leaves the panel.
        ax.plot([place, place], style.ends(row), color=colour, linewidth=1, zorder=2)
        ax.plot(place, step, marker="o", color=colour, markersize=3.5, zorder=3)


def _power_law(
    ax: Axes, rows: pd.DataFrame, swept: SweptAxis, fit: Mapping[Hashable, Any] | None, confidence: float
) -> None:
    """The fitted line with its band, that of the expected exponent, and the exponent in words."""
    estimable = fit is not None and np.isfinite(fit["exponent"])
    if swept.logarithmic:
        numbers = rows.assign(number=rows[swept.column].map(swept.numbers))
        _lines(ax, numbers, swept, fit if estimable else None, confidence)
    if fit is None or not estimable:
        _say(ax, "exponent not estimable")
        return
    exponent, low, high = (wording.exponent_label(float(fit[key])) for key in ("exponent", "ci_low", "ci_high"))
    runs = f"{int(fit['runs'])} runs, {selection.censored_count(fit)} censored"
    _say(ax, rf"$\tau \propto {swept.axis.symbol or 'x'}^k$,  $k$ = {exponent} [{low}, {high}]" + f"\n{runs}")


def _lines(
    ax: Axes, rows: pd.DataFrame, swept: SweptAxis, fit: Mapping[Hashable, Any] | None, confidence: float
) -> None:
    """The fitted power law with its band, and beside it that of the expected exponent, where there is one."""
    expected, _ = _EXPECTED.get(swept.axis.coordinate, (None, ""))
    slope = expected if fit is None else float(fit["exponent"])
    if slope is None:
        return
    numbers = rows["number"].to_numpy(float)
    pivot = float(np.exp(np.log(seen(rows)["number"].astype(float)).mean()))
    at_pivot = height(rows, (numbers / pivot) ** slope)
    line = np.geomspace(numbers.min() / 1.15, numbers.max() * 1.15, 50)
    if expected is not None:
        law = at_pivot * (line / pivot) ** expected
        ax.plot(line, law, color="0.5", linewidth=0.9, linestyle=style.DOTS, zorder=1)
    if fit is None:
        return
    ax.plot(line, at_pivot * (line / pivot) ** slope, color=style.INK, linewidth=1.1, zorder=1)
    ends = float(fit["ci_low"]), float(fit["ci_high"])
    about = margin(rows, (numbers / pivot) ** slope, confidence)
    if not np.isnan([*ends, about]).any():
        edges = band(line / pivot, at_pivot, about, slope, ends)
        ax.fill_between(line, *edges, color=style.INK, alpha=0.1, linewidth=0)


def _ratios(ax: Axes, rows: pd.DataFrame, swept: SweptAxis, ratios: pd.DataFrame) -> None:
    """The fitted onset at each value, with its interval around that at the base value, and the ratios in words."""
    values = {text(value): value for value in swept.labels}
    base = values.get(ratios["base"].iloc[0]) if len(ratios) else None
    fits = {values[fit["value"]]: fit for fit in ratios.to_dict("records") if fit["value"] in values}
    known = {value: fit["ratio"] for value, fit in fits.items() if np.isfinite(fit["ratio"])}
    if base is None or not known:
        _say(ax, "ratios not estimable")
        return
    relative = rows[swept.column].map({base: 1.0, **known}).astype(float)
    told = rows[relative.notna()]
    if not seen(told).empty:
        at_base = height(told, relative[told.index])
        _level(ax, swept.places[base], at_base, (1.0, 1.0, 1.0))
        for value in known:
            fit = fits[value]
            _level(ax, swept.places[value], at_base, (fit["ratio"], fit["ci_low"], fit["ci_high"]))
    _say(ax, _in_words(swept, fits))


def _level(ax: Axes, place: float, at_base: float, ratio: tuple[float, float, float]) -> None:
    """A fitted onset as a level across a value, with its interval."""
    middle, low, high = (at_base * each for each in ratio)
    across = np.array([place - _HALF, place + _HALF])
    ax.plot(across, [middle, middle], color=style.INK, linewidth=1.1, zorder=1)
    if high > low:
        ax.fill_between(across, *style.ends({"ci_low": low, "ci_high": high}), color=style.INK, alpha=0.1, linewidth=0)


def _in_words(swept: SweptAxis, fits: Mapping[Any, Mapping[Hashable, Any]]) -> str:
    """The ratios, with their intervals where there is room for all of them."""
    labels = {label: fits[value] for value, label in swept.labels.items() if value in fits}
    whole = ";  ".join(f"{label}: {_ratio(fit)}" for label, fit in labels.items())
    if wording.letters(whole) <= _LETTERS:
        return whole
    return ";  ".join(f"{label}: {wording.TIMES}{wording.ratio_label(fit['ratio'])}" for label, fit in labels.items())


def _ratio(fit: Mapping[Hashable, Any]) -> str:
    ratio, low, high = (wording.ratio_label(fit[key]) for key in ("ratio", "ci_low", "ci_high"))
    return f"{wording.TIMES}{ratio} [{low}, {high}]" if np.isfinite(fit["ratio"]) else "not estimable"


def _published(ax: Axes, swept: SweptAxis, definition: str, settings: Mapping[str, Any]) -> list[float]:
    """Mark the published onsets; heights that the panel has to show, with room for the arrow below a mark."""
    if not swept.logarithmic:
        return []
    term, threshold = swept.axis.coordinate, settings["thresholds"].get(definition)
    numbers = published.onsets(swept.runs, term, definition, threshold, settings.get("formulation"))
    style.published_marks(ax, [(getattr(number.point, term), number.value, number.bound) for number in numbers])
    return [number.value / (1.4 if number.bound == "at most" else 1) for number in numbers]


def _say(ax: Axes, words: str) -> None:
    above = ax.text(0, 1.025, words, transform=ax.transAxes, ha="left", va="bottom", size=7, color="0.25")
    above.set_in_layout(False)  # many values in words do not make panels narrow


def _steps(ax: Axes, steps: Sequence[float]) -> None:
    """The logarithmic axis of steps, shared by the panels."""
    ax.set_yscale("log")
    ax.set_ylim(min(steps) / 1.6, max(steps) * 2)
    style.logarithmic(ax, "y")


def _legend(
    figure: Figure, onsets: pd.DataFrame, swept: SweptAxis, ratios: pd.DataFrame, marked: bool, on: Page
) -> None:
    base = {text(value): label for value, label in swept.labels.items()}.get("".join(ratios["base"].head(1)), "base")
    fitted = "fitted power law" if swept.logarithmic else f"fitted, and the interval of its ratio to that at {base}"
    shapes = [
        Line2D([], [], color=style.INK, marker="o", markersize=3.5, linewidth=1, label="onset and its interval"),
        *style.censored_handles(onsets),
        Line2D([], [], color=style.INK, linewidth=1.1, label=fitted),
    ]
    if swept.logarithmic and swept.axis.coordinate in _EXPECTED:
        _, law = _EXPECTED[swept.axis.coordinate]
        shapes.append(Line2D([], [], color="0.5", linewidth=0.9, linestyle=style.DOTS, label=law))
    if marked:
        shapes.append(Line2D([], [], label=published.LABEL, **style.PUBLISHED))
    on.legend(figure, shapes, 3 if marked else 4)
