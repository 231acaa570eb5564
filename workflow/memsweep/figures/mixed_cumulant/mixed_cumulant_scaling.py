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
from . import words

SOURCES = ("recoveries", "recovery_times", "recovery_exponents")

_COLUMNS = 3
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
    rows = -(-len(pairs) // _COLUMNS)
    with style.styled():
        heights = 2.35 * rows + 0.13 * len(settings["experiments"]), 0.75 + 0.2 * len(tables["recovery_exponents"])
        figure = Figure(figsize=(style.WIDTH, 0.5 + sum(heights)), layout="constrained")
        # The names of the exponents are long: a part of their own, so that they narrow no other panel
        parts: Any = figure.subfigures(2, 1, height_ratios=heights)
        top, bottom = parts
        held = [f"{words.latents_label(one)}:  {words.unit_label(one)}" for one in settings["experiments"]]
        top.suptitle("\n".join(held), fontsize=6.5, color=style.INK)
        panels = top.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for number, ((experiment, spike), ax) in enumerate(zip(pairs, panels, strict=False)):
            mine = {name: _rows(table, experiment["name"], spike) for name, table in tables.items()}
            letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
            style.lettered(ax, letter, words.spike_label(experiment, spike), pad=16)
            _times(ax, mine, words.COLOURS[spike], experiment)
        for ax in panels[len(pairs) :]:
            ax.axis("off")
        _forest(bottom.subplots(), tables["recovery_exponents"], settings)
        _legend(top)
    return figure


def _rows(table: pd.DataFrame, experiment: str, spike: str) -> pd.DataFrame:
    return table[(table["experiment"] == experiment) & (table["spike"] == spike)]


def _times(ax: Axes, tables: Mapping[str, pd.DataFrame], colour: style.Colour, experiment: Mapping[str, Any]) -> None:
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
    text = "no exponent: fewer than half recovered"
    if len(seen):
        _laws(ax, seen, fits)
        prefixes = {"power": "", "power_log": r"with $\log d$: "}
        of_medians = [fit for fit in fits.to_dict("records") if fit["law"] in prefixes]
        text = "\n".join(rf"{prefixes[fit['law']]}$k$ = {words.interval_label(fit)}" for fit in of_medians)
    ax.text(0.03, 0.97, text, transform=ax.transAxes, ha="left", va="top", size=6.5, color="0.25")
    shown = np.where(np.isfinite(times["median"]), times["median"], times["ci_low"])
    ax.set_yscale("log")
    ax.set_ylim(shown.min() / 4, shown.max() * 25)
    style.logarithmic(ax, "y")
    words.dimension_axis(ax, experiment["dimensions"])
    ax.tick_params(axis="x", labelsize=5.5)
    ax.set_xlabel(words.DIMENSION)
    ax.set_ylabel("samples to recovery")
    share = fits.iloc[0]
    note = f"{share['replicas']} replicas, {share['censored_replicas']} censored"
    ax.text(0, 1.025, note, transform=ax.transAxes, ha="left", va="bottom", size=6.5, color="0.35")


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


def _forest(ax: Axes, fits: pd.DataFrame, settings: Mapping[str, Any]) -> None:
    """Every exponent with its interval, beside what theory predicts."""
    experiments = {experiment["name"]: experiment for experiment in settings["experiments"]}
    shown = fits[np.isfinite(fits["exponent"])].to_dict("records")
    labels = []
    ends = [float(fit[end]) for fit in shown for end in ("ci_low", "ci_high") if np.isfinite(fit[end])]
    limits = min([0.8, *ends]) - 0.1, max([3.2, *ends]) + 0.1
    for place, fit in enumerate(shown):
        colour = words.COLOURS[fit["spike"]]
        interval(ax, place, fit, limits, colour)
        marker, law = _LAWS[fit["law"]]
        ax.plot(fit["exponent"], place, color=colour, markersize=4, marker=marker)
        ax.plot(fit["predicted"], place, color="0.3", marker="|", markersize=9, markeredgewidth=1.2, zorder=1)
        labels.append(f"{words.spike_label(experiments[fit['experiment']], fit['spike'])}  {law}")
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


def _legend(figure: FigureBase) -> None:
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
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
