"""When a small network's loss leaves that on Gaussian surrogates, beside the single unit's recovery times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...tables.parquet import read_table
from .. import style, wording
from ..fits import seen
from ..page import Page, page
from . import words

SOURCES = ("network_curves", "network_departures", "network_exponents", "recovery_times")

_DASHED: Any = (0, (3.5, 1.8))


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw loss over linear loss, the excess and the departures, a row per network.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``networks`` and ``experiments`` of the config; ``departure``, the threshold; ``palette``.
    """
    tables = {name: read_table(sources[name], name) for name in SOURCES}
    networks = settings["networks"]
    dimensions = sorted({dimension for network in networks for dimension in network["dimensions"]})
    colours = words.dimension_colours(dimensions, settings["palette"])
    with style.styled():
        on = page(settings)
        figure = on.figure(single=1.5 + 4.8 * len(networks), double=0.7 + 2.35 * len(networks))
        columns = on.across(3)
        panels = figure.subplots(3 * len(networks) // columns, columns, squeeze=False).reshape(len(networks), 3)
        for number, (row, network) in enumerate(zip(panels, networks, strict=True)):
            mine = {
                name: table[table["network"] == network["name"]] for name, table in tables.items() if "network" in table
            }
            letters = "abcdefghijklmnopqrstuvwxyz"[3 * number : 3 * number + 3]
            _losses(row[0], mine["network_curves"], colours)
            style.lettered(row[0], letters[0], words.latents_label(network))
            _excess(row[1], mine["network_curves"], colours, settings["departure"])
            style.lettered(row[1], letters[1], f"$d$ (surrogate / test {wording.MINUS} 1)")
            _departures(row[2], mine, tables["recovery_times"], network, settings)
            style.lettered(row[2], letters[2], "departure", pad=16)
        _legend(figure, networks[0], colours, on)
    return figure


def _losses(ax: Axes, curves: pd.DataFrame, colours: Mapping[float, style.Colour]) -> None:
    """Test and surrogate loss of the first replica of each dimension, over that of the best linear denoiser."""
    for dimension, rows in curves[curves["replica"] == 0].groupby("dimension"):
        colour, best = colours[float(str(dimension))], rows["linear_loss"]
        for split, dashes in (("test", "-"), ("surrogate", _DASHED)):
            loss, low, high = (rows[f"{split}_{column}"] / best for column in ("loss", "ci_low", "ci_high"))
            ax.fill_between(rows["samples"], low, high, color=colour, alpha=0.08, linewidth=0)
            ax.plot(rows["samples"], loss, color=colour, linestyle=dashes, linewidth=1)
    ax.axhline(1, color="0.45", linewidth=0.8, linestyle=style.DOTS, zorder=1)
    ax.set_ylim(top=1.06)
    ax.set_ylabel("loss / best linear loss")
    ax.set_xlabel("samples")
    style.logarithmic(ax, "x")


def _excess(ax: Axes, curves: pd.DataFrame, colours: Mapping[float, style.Colour], threshold: float) -> None:
    """d times surrogate loss over test loss minus 1, for every replica with its interval."""
    for (dimension, _), rows in curves.groupby(["dimension", "replica"]):
        size = float(str(dimension))
        ax.fill_between(
            rows["samples"], size * rows["ci_low"], size * rows["ci_high"], color=colours[size], alpha=0.1, linewidth=0
        )
        ax.plot(rows["samples"], size * rows["excess"], color=colours[size], linewidth=0.8)
    ax.axhline(threshold, color="0.45", linewidth=0.8, linestyle=style.DASH_DOTS, zorder=1)
    ax.set_xlabel("samples")
    style.logarithmic(ax, "x")


def _departures(
    ax: Axes,
    tables: Mapping[str, pd.DataFrame],
    times: pd.DataFrame,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Departures of the network, and recoveries of v by the single units that see the same latents."""
    found = tables["network_departures"]
    for row in found.to_dict("records"):
        place = row["dimension"] * 1.02 ** (row["replica"] - (network["replicas"] - 1) / 2)
        if row["censored"] or row["left_censored"]:
            style.censored_onset(ax, place, {**row, "step": row["samples"]}, style.INK)
            continue
        ends = style.ends(row) * network["batch_size"]
        ax.plot([place] * 2, ends, color=style.INK, linewidth=1, zorder=2)
        ax.plot(place, row["samples"], marker="o", markersize=3, color=style.INK, zorder=3)
    fit = tables["network_exponents"].iloc[0].to_dict()
    known = seen(found)
    if np.isfinite(fit["exponent"]) and len(known):
        pivot, height = (float(np.exp(np.log(known[name]).mean())) for name in ("dimension", "samples"))
        reach = np.geomspace(found["dimension"].min(), found["dimension"].max(), 20)
        ax.plot(reach, height * (reach / pivot) ** fit["exponent"], color=style.INK, linewidth=1, zorder=1)
    dimensions, shown = list(network["dimensions"]), list(found["samples"])
    for experiment in settings["experiments"]:
        mine = times[
            (times["experiment"] == experiment["name"]) & (times["spike"] == "v") & np.isfinite(times["median"])
        ]
        if experiment["correlation"] != network["correlation"] or mine.empty:
            continue
        arms = [mine["median"] - mine["ci_low"], mine["ci_high"] - mine["median"]]
        ax.errorbar(mine["dimension"], mine["median"], yerr=arms, color=words.COLOURS["v"], linewidth=1, zorder=2)
        dimensions += list(mine["dimension"])
        shown += list(mine["median"])
    ax.set_yscale("log")
    ax.set_xscale("log")
    ax.set_ylim(min(shown) / 2, max(shown) * 3)
    ax.set_xlim(min(dimensions) / 1.3, max(dimensions) * 1.3)
    style.logarithmic(ax, "x")
    style.logarithmic(ax, "y")
    ax.set_xlabel(words.DIMENSION)
    ax.set_ylabel("samples")
    known = np.isfinite(fit["exponent"])
    text = rf"network: $k$ = {words.interval_label(fit)}" if known else "network: exponent not estimable"
    ax.text(0, 1.025, text, transform=ax.transAxes, ha="left", va="bottom", size=6.5, color="0.25")


def _legend(figure: Figure, network: Mapping[str, Any], colours: Mapping[float, style.Colour], on: Page) -> None:
    swept = [Line2D([], [], color=colour, linewidth=2.4, label=f"{size:g}") for size, colour in colours.items()]
    lines = [
        Line2D([], [], color=style.INK, label="test loss"),
        Line2D([], [], color=style.INK, linestyle=_DASHED, label="surrogate loss"),
        Line2D([], [], color="0.45", linewidth=0.8, linestyle=style.DASH_DOTS, label="threshold of departure"),
        Line2D(
            [], [], color=style.INK, marker="o", markersize=3, linewidth=1, label="network: departure, its interval"
        ),
        Line2D([], [], color=words.COLOURS["v"], label=r"single unit: recovery of $v$"),
        Line2D([], [], color=style.INK, marker="^", linestyle="", markerfacecolor="w", label="run ended before"),
    ]
    held = wording.lines(
        [
            words.strengths_label(network),
            f"$s$ = {network['noise_level']:g}",
            f"{network['width']} hidden units",
            f"$B$ = {network['batch_size']}",
            rf"Adam, $\eta$ = {wording.number_label(network['learning_rate'])}",
            f"{network['replicas']} replicas",
        ],
        on.line,
    )
    if on.is_single:
        on.around(figure, held, swept, words.DIMENSION, lines, 2)
        return
    figure.legend(handles=swept, loc="outside lower left", title=words.DIMENSION, ncols=3, alignment="left")
    figure.legend(handles=lines, loc="outside lower right", ncols=2, handlelength=2.6)
    on.heading(figure, held)
