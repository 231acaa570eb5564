"""Weak-recovery times of the single unit against the dimension, and their exponents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D

from ...tables.parquet import read_table
from .. import style
from ..forest import interval
from ..page import Page, page
from . import words

SOURCES = ("recoveries", "recovery_times", "recovery_exponents")

_LEAST, _MOST = -2.0, 6.0  # exponents beyond which an interval is cut, so that one vague fit hides no other
# Marker and name of each law
_LAWS = {
    "power": ("o", r"$d^{\,k}$"),
    "power_log": ("s", r"$d^{\,k}(\log d + c)$"),
    "lognormal": ("D", r"$d^{\,k}$, log-normal"),
}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the times of each experiment's spikes, one panel each, and all exponents in the last.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``experiments`` of the config; ``confidence`` of the intervals.
    """
    tables = {name: read_table(sources[name], name) for name in SOURCES}
    pairs = [
        (experiment, spike)
        for experiment in settings["experiments"]
        for spike in ("u", "v")
        if experiment[f"beta_{spike}"] > 0
    ]
    on = page(settings)
    columns = 2 if on.is_single else 3
    rows = -(-len(pairs) // columns)
    with style.styled():
        lines = 0.13 * len(settings["experiments"])
        tops = 0.7 + 1.8 * rows + 2 * lines if on.is_single else 2.35 * rows + lines
        heights = tops, 0.75 + (0.27 if on.is_single else 0.2) * len(tables["recovery_exponents"])
        figure = on.figure(single=sum(heights), double=0.5 + sum(heights))
        # The names of the exponents are long: a part of their own, so that they narrow no other panel
        parts: Any = figure.subfigures(2, 1, height_ratios=heights)
        top, bottom = parts
        between = "\n" if on.is_single else "  "
        held = [f"{words.latents_label(one)}:{between}{words.unit_label(one)}" for one in settings["experiments"]]
        top.suptitle("\n".join(held), fontsize=6.5, color=style.INK)
        panels = top.subplots(rows, columns, squeeze=False).ravel()
        for number, ((experiment, spike), ax) in enumerate(zip(pairs, panels, strict=False)):
            mine = {name: _rows(table, experiment["name"], spike) for name, table in tables.items()}
            letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
            style.lettered(ax, letter, words.spike_label(experiment, spike), pad=16, size=6.5 if on.is_single else 8)
            _times(ax, mine, words.COLOURS[spike], experiment, on)
        for ax in panels[len(pairs) :]:
            ax.axis("off")
        _forest(bottom.subplots(), tables["recovery_exponents"], settings, on)
        _legend(top, on)
    return figure


def _rows(table: pd.DataFrame, experiment: str, spike: str) -> pd.DataFrame:
    return table[(table["experiment"] == experiment) & (table["spike"] == spike)]


def _times(
    ax: Axes, tables: Mapping[str, pd.DataFrame], colour: style.Colour, experiment: Mapping[str, Any], on: Page
) -> None:
    """Median times with intervals and the replicas' spread; a hollow triangle where fewer than half recovered."""
    times, fits = tables["recovery_times"].sort_values("dimension"), tables["recovery_exponents"]
    for row in times.to_dict("records"):
        place, middle = row["dimension"], row["median"]
        if not np.isfinite(middle):
            ax.plot(place, row["ci_low"], marker="^", markersize=5, markerfacecolor="w", color=colour, zorder=3)
            continue
        replicas = tables["recoveries"][tables["recoveries"]["dimension"] == place]
        # What lies beyond the end of the runs is cut there
        ended = np.where(replicas["censored"], replicas["samples"].max(), replicas["samples"])
        spread = np.quantile(ended, [0.1, 0.9], method="lower")
        ax.plot([place] * 2, spread, color=colour, linewidth=4, alpha=0.25, solid_capstyle="butt", zorder=2)
        ends = style.ends(row)
        ax.plot([place] * 2, ends, color=colour, linewidth=1.2, zorder=3)
        ax.plot(place, middle, marker="o", markersize=3.5, color=colour, zorder=4)
    seen = times[np.isfinite(times["median"])]
    between = "\n" if on.is_single else " "
    text = f"no exponent:{between}fewer than half{between}recovered"
    if len(seen):
        _laws(ax, seen, fits)
        prefixes = {"power": "", "power_log": rf"with $\log d$:{between}"}
        of_medians = [fit for fit in fits.to_dict("records") if fit["law"] in prefixes]
        text = "\n".join(rf"{prefixes[fit['law']]}$k$ = {words.interval_label(fit)}" for fit in of_medians)
    inside = ax.text(0.03, 0.97, text, transform=ax.transAxes, ha="left", va="top", size=6.5, color="0.25")
    inside.set_in_layout(not on.is_single)  # words do not make a panel narrow
    shown = np.where(np.isfinite(times["median"]), times["median"], times["ci_low"])
    ax.set_yscale("log")
    ax.set_ylim(shown.min() / 4, shown.max() * 25)
    style.logarithmic(ax, "y")
    words.dimension_axis(ax, experiment["dimensions"])
    ax.tick_params(axis="x", labelsize=6)
    ax.set_xlabel(words.DIMENSION)
    ax.set_ylabel("samples to recovery", fontsize=on.label)
    share = fits.iloc[0]
    note = f"{share['replicas']} replicas, {share['censored_replicas']} censored"
    size = 6 if on.is_single else 6.5
    above = ax.text(0, 1.025, note, transform=ax.transAxes, ha="left", va="bottom", size=size, color="0.35")
    above.set_in_layout(not on.is_single)


def _laws(ax: Axes, seen: pd.DataFrame, fits: pd.DataFrame) -> None:
    """The fitted power law, and the predicted one through the same middle."""
    dimensions = np.geomspace(seen["dimension"].min() / 1.15, seen["dimension"].max() * 1.15, 50)
    pivot, height = (float(np.exp(np.log(seen[name]).mean())) for name in ("dimension", "median"))
    fit = fits[fits["law"] == "power"].iloc[0]
    predicted: dict[str, Any] = {"color": "0.55", "linewidth": 0.9, "linestyle": style.DOTS}
    fitted: dict[str, Any] = {"color": style.INK, "linewidth": 1.0}
    for exponent, look in ((fit["exponent"], fitted), (fit["predicted"], predicted)):
        if np.isfinite(exponent):
            ax.plot(dimensions, height * (dimensions / pivot) ** exponent, zorder=1, **look)


def _forest(ax: Axes, fits: pd.DataFrame, settings: Mapping[str, Any], on: Page) -> None:
    """Every exponent with its interval, beside what theory predicts."""
    experiments = {experiment["name"]: experiment for experiment in settings["experiments"]}
    shown = fits[np.isfinite(fits["exponent"])].to_dict("records")
    labels = []
    ends = [float(fit[end]) for fit in shown for end in ("ci_low", "ci_high") if np.isfinite(fit[end])]
    limits = max(min([0.8, *ends]), _LEAST) - 0.1, min(max([3.2, *ends]), _MOST) + 0.1
    for place, fit in enumerate(shown):
        colour = words.COLOURS[fit["spike"]]
        interval(ax, place, fit, limits, colour)
        marker, law = _LAWS[fit["law"]]
        if limits[0] <= fit["exponent"] <= limits[1]:
            ax.plot(fit["exponent"], place, color=colour, markersize=4, marker=marker)
        ax.plot(fit["predicted"], place, color="0.3", marker="|", markersize=9, markeredgewidth=1.2, zorder=1)
        between = "\n" if on.is_single else "  "
        labels.append(f"{words.spike_label(experiments[fit['experiment']], fit['spike'])}{between}{law}")
    ax.set_title("exponents, and those predicted")
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(*limits)
    ax.set_xticks([1, 2, 3])
    ax.grid(axis="x", color="0.9", linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"exponent $k$ ({100 * settings['confidence']:g} % interval)")
    if not shown:
        style.note(ax, "none estimable")


def _legend(figure: FigureBase, on: Page) -> None:
    handles = [
        Line2D([], [], color=style.INK, marker="o", markersize=3.5, linewidth=1.2, label="median and its interval"),
        Line2D([], [], color=style.INK, linewidth=4, alpha=0.25, label="middle 80 % of replicas"),
        Line2D(
            [], [], color=style.INK, marker="^", linestyle="", markerfacecolor="w", label="fewer than half recovered"
        ),
        Line2D([], [], color=style.INK, linewidth=1, label="fitted power law"),
        Line2D([], [], color="0.55", linewidth=0.9, linestyle=style.DOTS, label="predicted slope"),
        Line2D([], [], color="0.3", marker="|", markersize=8, linestyle="", label="predicted exponent"),
    ]
    on.legend(figure, handles, 3)
