"""What each metric reads: constructed generators of known faults against metrics, beside a perfect sampler."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import norm

from ...metrics.constructed import GENERATORS
from ...tables.parquet import read_table
from .. import style
from ..page import Page, page
from ..wording import MINUS

SOURCES = ("metric_check",)

_PERFECT = "resampler"
# What is shown of each metric: against which images, and under what name
_COLUMNS = {
    ("field_copies", "train"): "copies, $d_1/d_2 < 1/3$",
    ("calibrated_copies", "train"): "copies, calibrated",
    ("nearer", "train"): "nearer",
    ("authenticity", "train"): "authenticity",
    ("precision", "held_out"): "precision",
    ("density", "held_out"): "density",
    ("recall", "held_out"): "recall",
    ("coverage", "held_out"): "coverage",
    ("sliced_wasserstein", "held_out"): "sliced Wasserstein",
    ("kid", "held_out"): "KID",
    ("frechet", "held_out"): "Fréchet",
}
Key = tuple[str, str]

_CLOSENESS = 4  # of these, the first compare with the training set
_SHADES, _SCALE = sns.color_palette("vlag", as_cmap=True), Normalize(-10, 10)
_FAULTS = ("copies", "low quality", "low diversity")
_GAP = 0.35  # between faults and metrics, and between metrics of one set and the other, in cells
_SEEN, _MOST = 2.0, 10.0  # standard errors from which a difference is seen, and beyond which colours are the same
# Inches: of a row, the metrics' names above, the space between panels, and the legend below
_HEIGHT, _NAMES, _BETWEEN, _LEGEND = 0.2, 0.72, 0.28, 0.5
_LABELS, _MARGIN = 0.17, 0.075  # shares of the width, left for names and right for the last one of a metric


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw a matrix for the least and for the greatest number of training images.

    Args:
        sources: the table of `SOURCES`.
        settings: ``confidence`` of the table's intervals.
    """
    table = read_table(sources["metric_check"], "metric_check")
    table = table[table["samples"] == table["samples"].max()]
    sizes = sorted({table["train_size"].min(), table["train_size"].max()})
    rows, width = len(GENERATORS), 2 * float(norm.ppf((1 + settings["confidence"]) / 2))
    on = page(settings)
    # Over one column of a page, what compares with the training set stands above what compares with other images
    keys = list(_COLUMNS)
    blocks = [keys[:_CLOSENESS], keys[_CLOSENESS:]] if on.is_single else [keys]
    left, right, names = (0.36, 0.02, 1.0) if on.is_single else (_LABELS, _MARGIN, _NAMES)
    with style.styled():
        panel = (0.15 if on.is_single else _HEIGHT) * rows
        height = len(blocks) * (names + len(sizes) * (panel + _BETWEEN)) + _LEGEND + 0.44 * on.is_single
        figure = Figure(figsize=(on.width, height))
        top, letters = height, iter(string.ascii_lowercase)
        for block, faults in zip(blocks, (_FAULTS, ()), strict=False):
            top -= names
            for place, size in enumerate(sizes):
                top -= _BETWEEN + panel
                ax = figure.add_axes((left, top / height, 1 - left - right, panel / height))
                _matrix(
                    ax,
                    table[table["train_size"] == size],
                    block,
                    faults,
                    is_first=place == 0,
                    slant=90 if on.is_single else 40,
                    width=width,
                )
                title = rf"$\bf{{{next(letters)}}}$  $N$ = {size}"
                ax.text(-0.75, -0.75, title, ha="right", va="bottom", size=8)
        _legend(figure, height, table["samples"].iloc[0], on)
    return figure


def _matrix(
    ax: Axes,
    table: pd.DataFrame,
    block: Sequence[Key],
    faults: Sequence[str],
    is_first: bool,
    slant: float,
    width: float,
) -> None:
    """Generators in rows, faults and metrics in columns; intervals are so many standard errors wide."""
    lefts = _lefts(block, len(faults))
    cells = {(row["generator"], row["metric"], row["reference"]): row for row in table.to_dict("records")}
    for row, generator in enumerate(GENERATORS):
        found = (generator.copies > 0, not generator.is_real, not generator.is_diverse)
        for column, has in enumerate(found[: len(faults)]):
            ax.plot(column, row, "s", markersize=4.5, color=style.INK if has else "0.9")
        for key, left in lefts.items():
            cell = cells[(generator.name, *key)]
            perfect = cells[(_PERFECT, *key)]
            if np.isnan(cell["value"]):
                ax.text(left, row, "none", ha="center", va="center", size=6, color="0.45")
            else:
                _cell(ax, left, row, cell, perfect, width)
    ax.set_yticks(range(len(GENERATORS)), [generator.name.replace("_", " ") for generator in GENERATORS])
    names = [*faults, *(_COLUMNS[key] for key in block)]
    look: dict[str, Any] = {"va": "center"} if slant == 90 else {}
    places = [*range(len(faults)), *lefts.values()]
    ax.set_xticks(places, names, rotation=slant, ha="left", rotation_mode="anchor", **look)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labeltop=is_first)
    ax.set(xlim=(-0.5, lefts[block[-1]] + 0.52), ylim=(len(GENERATORS) - 0.45, -0.55))
    for spine in ax.spines.values():
        spine.set_visible(False)


def _cell(ax: Axes, left: float, row: int, cell: Mapping[Any, Any], perfect: Mapping[Any, Any], width: float) -> None:
    """A value, on the colour of its distance from that of a perfect sampler."""
    errors = [row["ci_high"] - row["ci_low"] for row in (cell, perfect)]
    distance = width * float((cell["value"] - perfect["value"]) / np.hypot(*errors)) if any(errors) else 0.0
    is_seen = abs(distance) >= _SEEN
    shade = _SHADES(_SCALE(distance)) if is_seen else (1.0, 1.0, 1.0, 1.0)
    ax.add_patch(Rectangle((left - 0.48, row - 0.46), 0.96, 0.92, facecolor=shade, linewidth=0))
    look: dict[str, Any] = {"weight": "bold", "color": "white" if sum(shade[:3]) < 1.6 else "black"} if is_seen else {}
    ax.text(left, row, _number(cell["value"]), ha="center", va="center", size=6.2, **look)
    if is_seen:  # without colours both sides would look alike
        height, marker = (-0.33, "^") if distance > 0 else (0.33, "v")
        ax.plot(left - 0.4, row + height, marker=marker, markersize=2, markeredgewidth=0, color=look["color"])


def _lefts(block: Sequence[Key], faults: int) -> dict[Key, float]:
    """The middle of each metric's column, right of those of faults, with a gap between one set and the other."""
    lefts, left = {}, faults + _GAP * (faults > 0)
    for before, key in zip([block[0], *block], block, strict=False):
        left += _GAP * (before[1] != key[1])
        lefts[key] = left
        left += 1
    return lefts


def _number(value: float) -> str:
    """In three letters or four."""
    shown = f"{value:.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.0e}".replace("e-0", "e-")
    return shown.replace("0.", ".", 1).replace("-", MINUS) if shown not in ("0.00", "1.00") else shown[0]


def _legend(figure: Figure, height: float, samples: int, on: Page) -> None:
    """What colours and squares mean."""
    left, above, width = (0.36, 0.44, 0.48) if on.is_single else (_LABELS + 0.02, 0.0, 0.24)
    ax = figure.add_axes((left, (0.24 + above) / height, width, 0.08 / height))
    ax.imshow(np.linspace(-_MOST, _MOST, 201)[None], cmap=_SHADES, aspect="auto", extent=(-_MOST, _MOST, 0, 1))
    ax.set(yticks=[], xticks=[-_MOST, -_SEEN, _SEEN, _MOST])
    ax.axvspan(-_SEEN, _SEEN, color="w")
    ax.tick_params(labelsize=6, length=2, pad=1.5)
    for spine in ax.spines.values():
        spine.set_visible(False)
    text = (
        f"standard errors from a perfect sampler (bold: at least {_SEEN:g},\n"
        "a triangle up where above it, down where below);\n"
        f"{samples} generated images; dark squares: what a generator does"
    )
    figure.text(0.02 if on.is_single else left + 0.27, 0.26 / height, text, size=7, va="center")
