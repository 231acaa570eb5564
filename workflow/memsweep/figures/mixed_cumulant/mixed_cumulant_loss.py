"""How the population loss falls with the overlap: the information exponent is the slope at small overlaps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...tables.parquet import read_table
from ...theory.mixed_cumulant.hermite import Term, series
from .. import style
from ..page import page
from . import words

SOURCES = ("loss_terms", "information_exponents")

_OTHER = 0.5
"""Overlap with the other spike once that is learnt."""


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the fall of the loss from overlap 0, one panel an experiment.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``experiments`` of the config.
    """
    terms = read_table(sources["loss_terms"], "loss_terms")
    orders = read_table(sources["information_exponents"], "information_exponents")
    experiments = settings["experiments"]
    with style.styled():
        on = page(settings)
        figure = on.figure(single=0.3 + 2.4 * len(experiments), double=2.9)
        columns = on.across(len(experiments))
        panels = figure.subplots(len(experiments) // columns, columns, sharey=True, squeeze=False).ravel()
        for number, (ax, experiment) in enumerate(zip(panels, experiments, strict=True)):
            mine = terms[terms["experiment"] == experiment["name"]].drop(columns="experiment")
            found = [Term(**{str(name): value for name, value in row.items()}) for row in mine.to_dict("records")]
            letter = "abcdefghijklmnopqrstuvwxyz"[number % 26]
            style.lettered(ax, letter, words.latents_label(experiment))
            _falls(ax, found, orders[orders["experiment"] == experiment["name"]].to_dict("records"))
            ax.set_xlabel("overlap")
        for ax in panels[::columns]:
            ax.set_ylabel("fall of the population loss")
        panels[0].set_ylim(1e-8, 1e2)
        for ax in panels:
            style.logarithmic(ax, "x")
        style.logarithmic(panels[0], "y")
    return figure


def _falls(ax: Axes, terms: list[Term], orders: list[dict[Any, Any]]) -> None:
    """The fall along each spike, alone and, where that is of another order, beside the other one."""
    overlap = np.geomspace(0.01, 1, 100)
    alone = {row["spike"]: row["order"] for row in orders if not row["other_learnt"]}
    for row in orders:
        spike, order = row["spike"], row["order"]
        if np.isnan(order) or (row["other_learnt"] and order == alone[spike]):
            continue
        other = _OTHER if row["other_learnt"] else 0.0
        # Of the two signs the one that lowers the loss
        sign = -np.sign(row["coefficient"]) if order % 2 else 1.0
        places = (sign * overlap, other) if spike == "u" else (other, sign * overlap)
        origin = (0.0, other) if spike == "u" else (other, 0.0)
        fall = series(terms, *origin) - series(terms, *places)
        label = rf"${spike}$ alone" if not row["other_learnt"] else rf"${spike}$, the other at {_OTHER:g}"
        look: dict[str, Any] = {
            "color": words.COLOURS[spike],
            "linestyle": words.DASHES["v" if row["other_learnt"] else "u"],
            "marker": words.MARKERS[spike],  # without colours the spikes would look alike
            "markersize": 3,
            "markevery": 0.2,
        }
        if fall[0] > 0:
            ax.plot(overlap, np.where(fall > 0, fall, np.nan), label=rf"{label}: $k^*$ = {order:g}", **look)
        else:
            ax.plot([], [], label=rf"{label}: $k^*$ = {order:g}, the loss rises", **look)
    ax.set_xscale("log")
    ax.legend(loc="upper left", fontsize=6, handlelength=2)
