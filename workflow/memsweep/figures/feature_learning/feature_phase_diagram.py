"""Phase diagrams of feature learning: what trained weights hold of signal against noise, over n and SNR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from ...tables.parquet import read_table
from .. import style, wording
from ..page import Page, page
from .feature_alignment import objective_label, objectives

SOURCES = ("phase", "phase_fits")

_MEASURE = "mean"
_MAP = "PuOr_r"
_COLOURS = ("#000000", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = ("s", "o", "^", "D", "v")
_DECADES = 100.0  # ratios beyond this and its inverse have the colours at the ends


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the ratio in every cell, one map an objective, and all of them against n · SNR².

    Args:
        sources: the tables of `SOURCES`.
        settings: ``model``, for the heading.
    """
    cells = read_table(sources["phase"], "phase")
    cells = cells[cells["measure"] == _MEASURE].assign(snr=np.sqrt(cells["n_snr2"] / cells["train_size"]))
    fits = read_table(sources["phase_fits"], "phase_fits")
    fits = fits[fits["measure"] == _MEASURE]
    cases = objectives(cells)
    with style.styled():
        on = page(settings)
        figure = on.figure(single=6.2, double=5.6)
        on.heading(figure, _heading(cells, settings["model"], on))
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.25)).ravel()
        panels = np.atleast_1d(above.subplots(1, len(cases), sharey=True))
        norm = LogNorm(1 / _DECADES, _DECADES)
        for ax, letter, (objective, time) in zip(panels, "abcdefgh", cases, strict=False):
            _map(ax, _of(cells, objective, time), norm)
            name = objective_label(objective, time)
            style.lettered(
                ax, letter, name.replace(", ", ",\n") if on.is_single else name, pad=10 if on.is_single else None
            )
            ax.set_xlabel("samples $n$" if on.is_single else "training samples $n$")
        panels[0].set_ylabel(r"SNR = $\|\mu\| / \sigma\sqrt{d}$")
        where: dict[str, Any] = {"location": "bottom", "aspect": 40} if on.is_single else {"pad": 0.01}
        bar = above.colorbar(ScalarMappable(norm, _MAP), ax=panels.tolist(), extend="both", **where)
        bar.set_label("signal / noise")
        ax = below.subplots()
        style.lettered(ax, "abcdefgh"[len(cases)], "the same cells against $n$·SNR²")
        handles = _against(ax, cells, fits, cases, on)
        if on.is_single:
            below.legend(handles=handles, loc="outside lower left", fontsize=6.3, labelspacing=0.35)
        else:
            ax.legend(handles=handles, loc="upper left", fontsize=6.3, labelspacing=0.35)
    return figure


def _heading(cells: pd.DataFrame, model: Mapping[str, Any], on: Page) -> str:
    parts = [
        f"$d$ = {model['dimension']}",
        f"$m$ = {model['neurons']}",
        rf"$\sigma$ = {model['noise']:g}",
        rf"$\sigma_0$ = {wording.number_label(model['initialisation'])}",
        f"up to {cells['seeds'].max()} seeds per cell",
    ]
    return wording.lines(parts, on.line)


def _of(table: pd.DataFrame, objective: str, time: float) -> pd.DataFrame:
    return table[(table["objective"] == objective) & (table["time"] == time)]


def _map(ax: Axes, cells: pd.DataFrame, norm: LogNorm) -> None:
    """Cells in colour, those with an unfinished seed marked, and two lines of equal n · SNR²."""
    sizes, ratios = sorted(cells["train_size"].unique()), sorted(cells["snr"].round(9).unique())
    grid = cells.assign(snr=cells["snr"].round(9)).pivot(index="snr", columns="train_size", values="ratio")
    ax.pcolormesh(_edges(sizes), _edges(ratios), grid.loc[ratios, sizes], norm=norm, cmap=_MAP, rasterized=True)
    unfinished = cells[cells["unfinished"] > 0]
    ax.plot(unfinished["train_size"], unfinished["snr"], "x", color=style.INK, markersize=3, markeredgewidth=0.6)
    (left, right), (bottom, top) = (_edges(values)[[0, -1]] for values in (sizes, ratios))
    n = np.geomspace(left, right, 50)
    for strength, dashes in ((1.0, style.DASHES), (10.0, style.DOTS)):
        halo = [withStroke(linewidth=2, foreground="w", alpha=0.6)]
        ax.plot(n, np.sqrt(strength / n), color=style.INK, linewidth=0.9, linestyle=dashes, path_effects=halo)
        end = np.sqrt(strength / right)
        if bottom < end < top:
            text = ax.text(right * 0.97, end * 1.08, f"{strength:g}", size=6.5, ha="right", va="bottom")
            text.set_path_effects([withStroke(linewidth=1.8, foreground="w")])
    ax.set(xlim=(left, right), ylim=(bottom, top))
    for which in ("x", "y"):
        style.logarithmic(ax, which)


def _edges(values: list[float]) -> np.ndarray:
    """Edges of cells around values on a logarithmic axis."""
    logs = np.log(np.asarray(values, float))
    if len(logs) == 1:
        return np.exp(logs[0] + np.array([-0.2, 0.2]))
    middles = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]]))


def _against(ax: Axes, cells: pd.DataFrame, fits: pd.DataFrame, cases: list[Any], on: Page) -> list[Line2D]:
    """The ratios of all cells, their predictions and the line of theory; returns the entries of a legend."""
    strengths = np.geomspace(cells["n_snr2"].min(), cells["n_snr2"].max(), 50)
    handles = []
    for (objective, time), colour, marker in zip(cases, _COLOURS, _MARKERS, strict=False):
        rows = _of(cells, objective, time).sort_values("n_snr2")
        low, high = (rows[end].clip(1e-6, 1e6) for end in ("ci_low", "ci_high"))
        ax.vlines(rows["n_snr2"], low, high, color=colour, linewidth=0.6, alpha=0.5)
        whole = rows["unfinished"] == 0
        ax.plot(rows["n_snr2"][whole], rows["ratio"][whole], marker, color=colour, markersize=3)
        ax.plot(rows["n_snr2"][~whole], rows["ratio"][~whole], marker, color=colour, markersize=3, markerfacecolor="w")
        if rows["balanced"].notna().any():
            # One value per cell, not one curve: n and SNR also count apart
            ax.plot(rows["n_snr2"], rows["balanced"], "_", color=colour, markersize=6, markeredgewidth=0.9)
        label = f"{objective_label(objective, time)}: {_laws(_of(fits, objective, time), on)}"
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=label))
    ax.plot(strengths, strengths / 2, color="0.5", linewidth=0.9, linestyle=style.DASHES, zorder=1)
    ax.axhline(1, color="0.8", linewidth=0.6, zorder=0)
    ax.set(xlabel=r"$n\cdot$SNR²", ylabel="signal / noise", yscale="log")
    ax.set_xlim(strengths[0] / 1.2, strengths[-1] * 1.2)
    ax.set_ylim(cells["ratio"].min() / 2, cells["ratio"].max() * 2)
    style.logarithmic(ax, "x")
    style.logarithmic(ax, "y")
    handles += [
        Line2D(
            [], [], color=style.INK, marker="_", linestyle="", label="prediction for neurons that agree on the data"
        ),
        Line2D([], [], color="0.5", linewidth=0.9, linestyle=style.DASHES, label=r"$n\cdot$SNR² / 2"),
    ]
    return handles


def _laws(fits: pd.DataFrame, on: Page) -> str:
    """Fitted exponents in n · SNR², and in n and SNR² apart, that at the crossing, and the crossing, with intervals."""
    rows = {row["quantity"]: row for row in fits.to_dict("records")}

    def said(quantity: str) -> str:
        row = rows[quantity]
        value, low, high = (wording.exponent_label(row[key]) for key in ("value", "ci_low", "ci_high"))
        return f"{value} [{low}, {high}]"

    apart = f"in $n$ {said('slope_n')}, in SNR² {said('slope_snr2')}"
    at = f"ratio 1 at {said('crossing')}, slope there {said('slope_at_crossing')}"
    between = ",\n" if on.is_single else ", "
    return f"slope {said('slope')}{between}{apart}\n{at}"
