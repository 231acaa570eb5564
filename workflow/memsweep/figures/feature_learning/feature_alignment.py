"""How alignments with signal and noise grow under either objective (Han et al. 2025)."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...tables.parquet import read_table
from .. import style, wording
from ..page import Page, page

SOURCES = ("alignments", "growth")

COLOURS = {"signal": "#0072B2", "noise": "#D55E00"}
"""Of signal and noise, from the palette of Okabe & Ito."""


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the largest alignments against iteration: one column an objective, one row an n · SNR².

    Args:
        sources: the tables of `SOURCES`.
        settings: ``model`` and ``learning_rates``, for the heading.
    """
    alignments = read_table(sources["alignments"], "alignments")
    rates = read_table(sources["growth"], "growth")
    cases = objectives(alignments)
    strengths = sorted(alignments["n_snr2"].unique())
    with style.styled():
        on = page(settings)
        figure = on.figure(single=1.2 + 1.7 * len(cases), double=0.9 + 1.95 * len(strengths))
        on.heading(figure, _heading(alignments, settings, on))
        # A row a strength; a row an objective over one column of a page, where there are more of these
        if on.is_single:
            panels = figure.subplots(len(cases), len(strengths), sharex=True, sharey=True, squeeze=False).T
        else:
            panels = figure.subplots(len(strengths), len(cases), sharex="col", sharey=True, squeeze=False)
        for row, strength in enumerate(strengths):
            for column, (objective, time) in enumerate(cases):
                ax = panels[row, column]
                chosen = _case(alignments, objective, time, strength)
                for feature in COLOURS:
                    _curves(ax, chosen, feature)
                place = column * len(strengths) + row if on.is_single else row * len(cases) + column
                between = ",\n" if on.is_single else ",  "
                title = f"{objective_label(objective, time)}{between}$n$·SNR² = {strength:.3g}"
                style.lettered(ax, string.ascii_lowercase[place], title, pad=22 if on.is_single else 15)
                _growth(ax, _case(rates, objective, time, strength), on)
        grid = panels.T if on.is_single else panels
        for ax in grid[-1]:
            ax.set_xlabel("iteration + 1")
        for ax in grid[:, 0]:
            ax.set_ylabel("largest alignment")
        _scales(grid, alignments)
        _legend(figure, on)
    return figure


def objectives(table: pd.DataFrame) -> list[tuple[str, float]]:
    """The objectives of a table, each with its diffusion time, in the order of its rows."""
    found = table[["objective", "time"]].drop_duplicates()
    return list(zip(found["objective"], found["time"], strict=True))


def objective_label(objective: str, time: float) -> str:
    """An objective in words."""
    return f"diffusion, $t$ = {time:g}" if objective == "diffusion" else objective


def _heading(alignments: pd.DataFrame, settings: Mapping[str, Any], on: Page) -> str:
    model, rates = settings["model"], settings["learning_rates"]
    sizes, seeds = alignments["train_size"].unique(), alignments["seed"].nunique()
    parts = [
        f"$n$ = {', '.join(map(str, sizes))}",
        f"$d$ = {model['dimension']}",
        f"$m$ = {model['neurons']}",
        rf"$\sigma$ = {model['noise']:g}",
        rf"$\sigma_0$ = {wording.number_label(model['initialisation'])}",
        rf"$\eta$ = {rates['classification']:g} and {rates['diffusion']:g}",
        f"{seeds} seeds",
    ]
    return wording.lines(parts, on.line)


def _case(table: pd.DataFrame, objective: str, time: float, strength: float) -> pd.DataFrame:
    return table[(table["objective"] == objective) & (table["time"] == time) & (table["n_snr2"] == strength)]


def _curves(ax: Axes, rows: pd.DataFrame, feature: str) -> None:
    """The median over seeds, and the range of all of them."""
    values = rows.groupby("iteration")[f"{feature}_max"].agg(["median", "min", "max"])
    steps = values.index.to_numpy() + 1
    ax.fill_between(steps, values["min"], values["max"], color=COLOURS[feature], alpha=0.22, linewidth=0)
    ax.plot(steps, values["median"], color=COLOURS[feature], linestyle="-" if feature == "signal" else "--")


def _growth(ax: Axes, rates: pd.DataFrame, on: Page) -> None:
    """Which law the early growth follows, by the interval of the log ratio of residuals."""
    said = []
    for feature in COLOURS:
        wanted = (rates["feature"] == feature) & (rates["measure"] == "mean") & (rates["quantity"] == "log_ratio")
        (row,) = rates[wanted].to_dict("records")
        law = "linear" if row["ci_low"] > 0 else "exponential" if row["ci_high"] < 0 else "either"
        said.append(f"{feature} {law if row['seeds'] else 'too short'}")
    between = ",\n" if on.is_single else ", "
    ax.text(0, 1.02, f"early: {between.join(said)}", transform=ax.transAxes, va="bottom", size=6.2, color="0.25")


def _scales(panels: Any, alignments: pd.DataFrame) -> None:
    values = alignments[["signal_max", "noise_max"]].to_numpy()
    for ax in panels.flat:
        ax.set_yscale("log")
        ax.set_ylim(values[values > 0].min() / 1.5, values.max() * 1.6)
    style.logarithmic(panels[0, 0], "y")
    for ax in panels[-1]:
        ax.set_xlim(1, alignments["iteration"].max() + 1)
        style.logarithmic(ax, "x")


def _legend(figure: Figure, on: Page) -> None:
    on.legend(
        figure,
        [
            Line2D([], [], color=COLOURS["signal"], label=r"signal, max$_r\,\langle w_r, \mu\rangle$"),
            Line2D(
                [], [], color=COLOURS["noise"], linestyle="--", label=r"noise, max$_{r,i}\,\langle w_r, \xi_i\rangle$"
            ),
        ],
        2,
        handlelength=2.6,
    )
