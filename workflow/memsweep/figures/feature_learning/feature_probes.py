"""What features hold under either objective: linear probes on noisy digits and on planted features."""

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

SOURCES = ("noisy_probes", "planted_probes", "feature_balance")

OBJECTIVES = {"classification": ("#000000", "s"), "diffusion": ("#0072B2", "o"), "untrained": ("0.6", "D")}
"""Colour and marker of each objective."""

_TASKS = {"easy": "easy: the frame", "hard": "hard: half of the classes", "class": "class"}


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw accuracies of probes: planted features above, noisy digits below.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``dataset``, its name.
    """
    noisy = read_table(sources["noisy_probes"], "noisy_probes")
    planted = read_table(sources["planted_probes"], "planted_probes")
    balance = read_table(sources["feature_balance"], "feature_balance")
    balance = balance[balance["quantity"] == "balance"].rename(columns={"value": "accuracy"})
    agreements = sorted(planted["agreement"].unique())
    with style.styled():
        on = page(settings)
        # Four panels beside each other, or two above two
        heights = (2.7 * len(agreements), 3.2) if on.is_single else (1.75 * len(agreements), 2.1)
        figure = on.figure(single=sum(heights) + 0.5, double=sum(heights) + 0.5)
        between = "\n" if on.is_single else "  "
        seeds = f"{planted['seeds'].max()} seeds, {planted['images'].max()} held-out images"
        on.heading(figure, f"dataset {settings['dataset']};{between}planted features: {seeds}")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).ravel()
        if on.is_single:
            panels = above.subplots(2 * len(agreements), 2, sharex=True, squeeze=False).reshape(len(agreements), 4)
            for ax, first in zip(panels[1:].ravel(), [*panels[0]] * (len(agreements) - 1), strict=True):
                ax.sharey(first)
        else:
            panels = above.subplots(len(agreements), 4, sharex=True, sharey="col", squeeze=False)
        for row, agreement in enumerate(agreements):
            here = planted[planted["agreement"] == agreement]
            for ax, (task, label) in zip(panels[row], _TASKS.items(), strict=False):
                _against_size(ax, here[here["task"] == task])
                ax.set_title(label if row == 0 or on.is_single else "", fontsize=7 if on.is_single else None)
            _against_size(panels[row, 3], balance[balance["agreement"] == agreement])
            panels[row, 3].set_title("balance, hard / easy" if row == 0 or on.is_single else "")
            for ax in panels[row, :: 2 if on.is_single else 4]:
                ax.set_ylabel(f"agreement {agreement:g}\naccuracy")
        for ax in panels[-1, 2 if on.is_single else 0 :]:
            _sizes(ax, sorted(planted["train_size"].unique()))
        for column in range(3):
            low = min(0.45, planted["ci_low"].min() - 0.05) if column < 2 else max(0, planted["chance"].min() - 0.05)
            panels[0, column].set_ylim(low, 1.04)
        _noisy(below, noisy, on)
        _legend(figure, on)
    return figure


def _against_size(ax: Axes, rows: pd.DataFrame) -> None:
    """One line an objective over training images, with intervals; chance dotted."""
    if "chance" in rows:
        chance = rows.groupby("train_size")["chance"].first()
        ax.plot(chance.index, chance, color="0.5", linewidth=0.8, linestyle=style.DOTS, zorder=0)
    for place, (objective, (colour, marker)) in enumerate(OBJECTIVES.items()):
        mine = rows[rows["objective"] == objective].sort_values("train_size")
        x = mine["train_size"] * 1.06 ** (place - 1)
        ax.vlines(x, mine["ci_low"], mine["ci_high"], color=colour, linewidth=1)
        ax.plot(x, mine["accuracy"], marker=marker, color=colour, markersize=3.5, linewidth=0.9)


def _sizes(ax: Axes, sizes: list[int]) -> None:
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("training images $N$")


def _noisy(figure: Any, probes: pd.DataFrame, on: Page) -> None:
    """Signal and noise probes of both networks, one panel each, SNR along the axis."""
    networks = sorted(probes["network"].unique(), reverse=True)
    rows, columns = (len(networks), 2) if on.is_single else (1, 2 * len(networks))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    panels = grid.ravel()
    snrs, seeds = sorted(probes["snr"].unique()), probes["seed"].nunique()
    for number, (network, task) in enumerate((network, task) for network in networks for task in ("signal", "noise")):
        ax = panels[number]
        rows = probes[(probes["network"] == network) & (probes["task"] == task)]
        for objective in ("classification", "diffusion"):
            colour, marker = OBJECTIVES[objective]
            for trained in (False, True):
                mine = rows[(rows["objective"] == objective) & (rows["trained"] == trained)]
                for seed, row in enumerate(mine.sort_values(["snr", "seed"]).to_dict("records")):
                    side = -1 if objective == "classification" else 1
                    x = snrs.index(row["snr"]) + side * (0.2 + 0.09 * (seed % seeds - (seeds - 1) / 2) * 3 / seeds)
                    shade = colour if trained else "0.75"
                    ax.vlines(x, row["ci_low"], row["ci_high"], color=shade, linewidth=0.9, zorder=2 + trained)
                    ax.plot(x, row["accuracy"], marker, color=shade, markersize=3, zorder=2 + trained)
        ax.axhline(0.5, color="0.5", linewidth=0.8, linestyle=style.DOTS, zorder=0)
        ax.set_xticks(range(len(snrs)), [f"{snr:g}" for snr in snrs])
        ax.set_xlim(-0.5, len(snrs) - 0.5)
        title = f"noisy digits,\n{network}: {task}" if on.is_single else f"noisy digits, {network}:\n{task}"
        ax.set(xlabel="SNR", title=title, ylim=(0.38, 1.04))
    for ax in grid[:, 0]:
        ax.set_ylabel("accuracy")


def _legend(figure: Figure, on: Page) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=0.9, label=name)
        for name, (colour, marker) in OBJECTIVES.items()
    ]
    chance = Line2D([], [], color="0.5", linewidth=0.8, linestyle=style.DOTS, label="chance")
    on.legend(figure, [*handles, chance], 4)
