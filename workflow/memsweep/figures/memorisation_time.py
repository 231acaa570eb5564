"""When memorisation starts, against the number of training images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import CensoredData, norm

from ..tables import read_table
from . import style

SOURCES = ("runs", "onsets", "scaling")

_DODGE = 1.035  # factor in N between neighbouring seeds


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the onset of each run against N, one panel a definition, with the fitted power law.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``palette``; ``thresholds`` of the onset; ``confidence`` of the intervals.
    """
    runs = style.along(read_table(sources["runs"], "runs"), "train_size")
    onsets = read_table(sources["onsets"], "onsets").merge(
        runs[["run_id", "train_size", "seed", "max_steps"]], on="run_id"
    )
    onsets["place"] = onsets["train_size"] * _DODGE ** _offsets(onsets["seed"])
    scaling = read_table(sources["scaling"], "scaling")
    scaling = scaling[scaling["term"] == "train_size"].set_index("definition")
    colours = style.colours(runs["train_size"].tolist(), settings["palette"])

    with style.styled():
        figure = Figure(figsize=(style.WIDTH, 5.0), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
        for ax, letter, definition in zip(panels, "abcd", style.DEFINITIONS, strict=True):
            rows = onsets[(onsets["definition"] == definition) & (onsets["step"] > 0)]
            fit = scaling.loc[definition] if definition in scaling.index else None
            ax.set_title(rf"$\bf{{{letter}}}$  {style.definition_label(definition, settings['thresholds'])}")
            _points(ax, rows, colours)
            _power_law(ax, rows, fit, settings["confidence"])
        if len(onsets):
            _scales(panels[0], onsets, runs)
        for ax in panels[2:]:
            ax.set_xlabel(style.AXIS_LABELS["train_size"])
        for ax in panels[::2]:
            ax.set_ylabel("onset of memorisation (steps)")
        _legend(figure)
    return figure


def _offsets(seeds: pd.Series[int]) -> pd.Series[float]:
    """Places of the seeds around 0, one apart."""
    distinct = sorted(seeds.unique())
    return seeds.map({seed: place - (len(distinct) - 1) / 2 for place, seed in enumerate(distinct)}).astype(float)


def _points(ax: Axes, rows: pd.DataFrame, colours: Mapping[float, style.Colour]) -> None:
    """Onsets with their intervals; the ends of censored runs as hollow triangles."""
    for row in rows.itertuples():
        colour = colours[row.train_size]
        if row.censored:
            ax.plot(row.place, row.step, marker="^", markersize=5, markerfacecolor="w", color=colour, zorder=3)
            continue
        # An interval that reaches past the run's end is known only up to there.
        low = row.ci_low if np.isfinite(row.ci_low) and row.ci_low > 0 else row.step
        high = min(row.ci_high, row.max_steps) if not np.isnan(row.ci_high) else row.step
        ax.plot([row.place] * 2, [min(low, row.step), max(high, row.step)], color=colour, linewidth=1, zorder=2)
        ax.plot(row.place, row.step, marker="o", color=colour, markeredgecolor="w", markeredgewidth=0.4, zorder=3)


def _power_law(ax: Axes, rows: pd.DataFrame, fit: pd.Series[Any] | None, confidence: float) -> None:
    """The fitted line with its band, a line of slope 1, and the exponent in words."""
    censored = int(rows["censored"].sum())
    if censored == len(rows):
        style.note(ax, "every run ended before the onset" if len(rows) else "no runs")
        return
    exponent = float(fit["exponent"]) if fit is not None else np.nan
    slope = exponent if np.isfinite(exponent) else 1.0
    pivot = float(np.exp(np.log(rows.loc[~rows["censored"], "train_size"]).mean()))
    height = _location(rows, slope, pivot)
    sizes = np.geomspace(rows["train_size"].min() / 1.15, rows["train_size"].max() * 1.15, 50)
    ax.plot(sizes, height * sizes / pivot, color="0.6", linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
    if fit is None or not np.isfinite(exponent):
        _say(ax, "no exponent fitted")
        return
    ends = [float(fit["ci_low"]), float(fit["ci_high"])]
    ax.plot(sizes, height * (sizes / pivot) ** exponent, color=style.INK, linewidth=1.1, zorder=1)
    if np.all(np.isfinite(ends)):
        edges = np.array([height * (sizes / pivot) ** end for end in ends])
        ax.fill_between(sizes, edges.min(axis=0), edges.max(axis=0), color=style.INK, alpha=0.1, linewidth=0)
    _say(
        ax,
        rf"$\tau \propto N^{{{_signed(exponent)}}}$, {100 * confidence:g} % interval {_signed(ends[0])} to "
        f"{_signed(ends[1])}\nfitted to {int(fit['runs'])} runs, {int(fit['censored_runs'])} of them censored",
    )


def _location(rows: pd.DataFrame, slope: float, pivot: float) -> float:
    """Onset at ``pivot`` on the line of this slope: the mean of log-normal, right-censored onsets."""
    residuals = np.log(rows["step"]) - slope * np.log(rows["train_size"] / pivot)
    seen = residuals[~rows["censored"]]
    if rows["censored"].any() and seen.nunique() > 1:
        mean, _ = norm.fit(CensoredData.right_censored(residuals, rows["censored"].to_numpy(dtype=bool)))
        return float(np.exp(mean))
    return float(np.exp(seen.mean()))


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "?"


def _say(ax: Axes, text: str) -> None:
    ax.text(0.03, 0.97, text, transform=ax.transAxes, ha="left", va="top", size=7, linespacing=1.4)


def _scales(ax: Axes, onsets: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Logarithmic axes, shared by the panels, with a tick at each N and room for the text."""
    sizes = sorted(runs["train_size"].unique())
    ax.set_yscale("log")
    low, high = onsets["step"].min(), onsets["step"].max()
    ax.set_ylim(low / 1.6, high * max(2.0, (high / low) ** 0.28))
    style.logarithmic(ax, "y")
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.set_xticks([], minor=True)


def _legend(figure: Figure) -> None:
    shapes = [
        Line2D([], [], color=style.INK, marker="o", linewidth=1, markeredgecolor="w", label="onset and its interval"),
        Line2D([], [], color=style.INK, marker="^", linestyle="", markerfacecolor="w", label="run ended before it"),
        Line2D([], [], color=style.INK, linewidth=1.1, label="fitted power law"),
        Line2D([], [], color="0.6", linewidth=0.8, linestyle=(0, (1, 1.5)), label=r"$\tau \propto N$"),
    ]
    figure.legend(handles=shapes, loc="outside lower center", ncols=4)
