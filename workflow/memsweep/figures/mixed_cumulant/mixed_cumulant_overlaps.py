"""Overlaps of the single unit with both spikes against samples, in units of d and of d³."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...tables.parquet import read_table
from .. import style
from ..page import Page, page
from . import words

SOURCES = ("overlaps",)

_POWERS = (1, 3)


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the median overlap with its bands, a row per experiment, a column a power of d.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``experiments`` of the config; ``palette``.
    """
    overlaps = read_table(sources["overlaps"], "overlaps")
    experiments = settings["experiments"]
    with style.styled():
        on = page(settings)
        figure = on.figure(single=0.9 + 2.3 * len(experiments), double=0.9 + 2.15 * len(experiments))
        panels = figure.subplots(len(experiments), len(_POWERS), squeeze=False, sharey=True)
        for number, (row, experiment) in enumerate(zip(panels, experiments, strict=True)):
            mine = overlaps[overlaps["experiment"] == experiment["name"]]
            colours = words.dimension_colours(experiment["dimensions"], settings["palette"])
            for ax, power in zip(row, _POWERS, strict=True):
                _curves(ax, mine, power, colours)
                ax.axhline(experiment["threshold"], color="0.45", linewidth=0.8, linestyle=style.DASH_DOTS, zorder=1)
                ax.set_ylim(-0.02, 1.02)
                style.logarithmic(ax, "x")
                ax.set_xlabel(f"samples / {'$d$' if power == 1 else f'$d^{power}$'}")
            letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
            style.lettered(row[0], letter, words.latents_label(experiment), pad=14 if on.is_single else None)
            if on.is_single:
                _beneath(row[0], words.unit_label(experiment))
            else:
                row[1].set_title(words.unit_label(experiment), size=6.5, color="0.35", loc="right")
            row[0].set_ylabel("|overlap|")
            _dimensions(row[1], colours)
        _legend(figure, on)
    return figure


def _curves(ax: Axes, rows: pd.DataFrame, power: int, colours: Mapping[float, style.Colour]) -> None:
    """Median, its interval, and the middle 80 % of the replicas, for each dimension and spike."""
    for (dimension, spike), curve in rows.groupby(["dimension", "spike"]):
        size = float(str(dimension))
        x = curve["samples"] / size**power
        ax.fill_between(x, curve["low"], curve["high"], color=colours[size], alpha=0.07, linewidth=0)
        ax.fill_between(x, curve["ci_low"], curve["ci_high"], color=colours[size], alpha=0.3, linewidth=0)
        ax.plot(x, curve["median"], color=colours[size], linestyle=words.DASHES[str(spike)], linewidth=1)


def _beneath(ax: Axes, text: str) -> None:
    """A line beneath the title, over the panel beside it too."""
    line = ax.text(0, 1.03, text, transform=ax.transAxes, ha="left", va="bottom", size=6.5, color="0.35")
    line.set_in_layout(False)


def _dimensions(ax: Axes, colours: Mapping[float, style.Colour]) -> None:
    handles = [Line2D([], [], color=colour, linewidth=2.4, label=f"{size:g}") for size, colour in colours.items()]
    ax.legend(handles=handles, title="$d$", loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=1.2)


def _legend(figure: Figure, on: Page) -> None:
    handles: list[Any] = [
        Line2D([], [], color=style.INK, linestyle=words.DASHES[spike], label=f"|{label}|")
        for spike, label in words.SPIKE_LABELS.items()
    ]
    dashes = style.DASH_DOTS
    handles.append(Line2D([], [], color="0.45", linewidth=0.8, linestyle=dashes, label="threshold of recovery"))
    on.legend(figure, handles, 3, handlelength=2.8)
