"""Which training images are copied first and most, which last or never, and whether the typical ones go first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ...data.images import decode
from ...study.axes import read_axes
from ...tables.parquet import image_shape, metadata_of, read_arrow, read_table
from .. import style, wording
from ..page import page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "images", "copied_images", "copied_first")

_MEASURES = {"to_class_mean": "distance to class mean", "to_nearest": "distance to nearest other image"}
_COLUMNS, _ROWS = 5, 2  # of images, copied most and copied last
_CELL = 1.42  # height of an image and the step beneath, in images
_HEAD = 0.62  # room for what the images are, in images
_LETTERS = 40  # of a line over the images
_MARKERS = "osD^vP"
_ABOVE = 1.7  # how far above the last step images are that were never copied, as a factor
_BENEATH = 0.46  # inches from a panel down to its legend, for ticks and the name of the axis
_PARTS = 3  # of the images of a run, by typicality, whose median is drawn

Colours = Mapping[Any, style.Colour]


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the images of one run that are copied most and last, and first step against typicality along N.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``run_id`` of the images; ``palette``.
    """
    runs, axes = read_table(sources["runs"], "runs"), read_axes(settings)
    copied = read_table(sources["copied_images"], "copied_images")
    first = read_table(sources["copied_first"], "copied_first")
    along = SweptAxis.among(runs, axes, next(axis for axis in axes if axis.column == "train_size"))
    points = copied.merge(along.runs[["run_id", "train_size"]], on="run_id")
    colours = along.colours(settings["palette"])
    own = copied[copied["run_id"] == settings["run_id"]]
    on = page(settings)
    letters = on.line if on.is_single else _LETTERS
    title = wording.held_fixed(runs[runs["run_id"] == settings["run_id"]], axes, None, letters)

    with style.styled():
        figure = on.figure(single=8.6, double=3.9)
        if on.is_single:
            left, right = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.33, 0.67]).ravel()
        else:
            left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[0.36, 0.64]).ravel()
        sheet = left.subplots()
        columns = on.across(len(_MEASURES))
        panels = right.subplots(len(_MEASURES) // columns, columns, squeeze=False).ravel().tolist()
        style.lettered(sheet, "a", title, size=7)
        _images(sheet, own, sources["images"])
        for ax, measure, letter in zip(panels, _MEASURES, "bc", strict=True):
            style.lettered(ax, letter, size=7)
            _points(ax, points, measure, colours)
            _say(ax, first[first["measure"] == measure], colours)
            ax.set(xlabel=f"{_MEASURES[measure]},\nrank in training set", xlim=(-0.03, 1.03))
            ax.set_xticks([0, 1], ["least", "greatest"])
            for label, side in zip(ax.get_xticklabels(), ("left", "right"), strict=True):
                label.set_horizontalalignment(side)
        _steps(panels, points)
        for place, ax in enumerate(panels):
            is_left = place % columns == 0
            ax.tick_params(labelleft=is_left)
            ax.set_ylabel("first step at which it is copied" if is_left else "")
    return figure


def _images(ax: Axes, own: pd.DataFrame, path: Path) -> None:
    """The images copied by most samples above those copied last, or never, each with its first step beneath."""
    ax.axis("off")
    if own.empty:
        style.note(ax, "no threshold for copies of this run's images")
        return
    count = min(_COLUMNS * _ROWS, len(own) // 2)
    never_last = own.assign(first_step=own["first_step"].to_numpy(dtype=float, na_value=math.inf))
    most = never_last.sort_values(["samples", "first_step", "index"], ascending=[False, True, True]).head(count)
    others = never_last[~never_last["index"].isin(most["index"])]
    last = others.sort_values(["first_step", "samples", "index"], ascending=[False, True, True]).head(count)
    table = read_arrow(path, "images")
    train = table.filter(pc.equal(table["split"], "train"))
    rows = math.ceil(count / _COLUMNS)
    for top, shown, words in (
        (0.0, most, "copied by most samples, first at step"),
        (rows * _CELL + 2 * _HEAD, last, f"copied {_last(last['first_step'])}"),
    ):
        ax.text(0.04, top + _HEAD / 2, words, va="center", size=7)
        _block(ax, top + _HEAD, shown, _pixels(train, shown["index"].tolist()))
    bottom = 2 * rows * _CELL + 3 * _HEAD
    ax.set(xlim=(0, _COLUMNS), ylim=(bottom, 0), aspect="equal", anchor="NW")


def _last(first_step: pd.Series[float]) -> str:
    """What is said of the images that are copied last."""
    never = np.isinf(first_step)
    return "by no sample" if never.all() else "last, or never" if never.any() else "last, first at step"


def _block(ax: Axes, top: float, shown: pd.DataFrame, images: Sequence[np.ndarray]) -> None:
    """Images in rows, each with the first step at which it is copied."""
    for place, (step, image) in enumerate(zip(shown["first_step"], images, strict=True)):
        left, high = place % _COLUMNS, top + place // _COLUMNS * _CELL
        extent = (left + 0.04, left + 0.96, high + 0.96, high + 0.04)
        ax.imshow(image, extent=extent, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        words = "never" if math.isinf(step) else f"{step:,.0f}".replace(",", "\u2009")
        ax.text(left + 0.5, high + 1.02, words, ha="center", va="top", size=6, color="0.3")


def _pixels(train: pa.Table, rows: Sequence[int]) -> list[np.ndarray]:
    """The images of these rows as arrays of height × width, × 3 in colour."""
    arrays = decode(train["image"].take(pa.array(rows, pa.int64())), image_shape(metadata_of(train)))
    return [array[:, :, 0] if array.shape[2] == 1 else array for array in arrays]


def _never(points: pd.DataFrame) -> float:
    """Where images stand that were never copied."""
    return _ABOVE * float(points["first_step"].max())


def _points(ax: Axes, points: pd.DataFrame, measure: str, colours: Colours) -> None:
    """First step against rank, a point for each image and run, and a line through the medians of parts of them."""
    if points["first_step"].isna().all():
        style.note(ax, "no image was copied" if len(points) else "no values")
        return
    rank = points.groupby("run_id")[measure].rank() - 0.5
    placed = points.assign(
        rank=rank / points.groupby("run_id")[measure].transform("size"),
        step=points["first_step"].astype(float).fillna(_never(points)),
    )
    for (value, colour), marker in zip(colours.items(), itertools.cycle(_MARKERS), strict=False):
        own = placed[placed["train_size"] == value]
        never = own["first_step"].isna()
        look: dict[str, Any] = {"marker": marker, "linestyle": "", "color": colour, "markersize": 2.4}
        ax.plot(own["rank"][~never], own["step"][~never], alpha=0.55, markeredgewidth=0, zorder=2, **look)
        ax.plot(own["rank"][never], own["step"][never], markerfacecolor="none", markeredgewidth=0.5, zorder=2, **look)
        if len(own):
            middles = (np.arange(_PARTS) + 0.5) / _PARTS
            parts = np.minimum((own["rank"] * _PARTS).astype(int), _PARTS - 1)
            medians = own["step"].groupby(parts).quantile(interpolation="lower").reindex(range(_PARTS))
            look |= {"markersize": 5, "linestyle": "-", "linewidth": 1.4, "markeredgecolor": "w"}
            ax.plot(middles, medians, markeredgewidth=0.6, zorder=3, **look)


def _say(ax: Axes, rows: pd.DataFrame, colours: Colours) -> None:
    """The correlations with their intervals, one line for each N and then those of all runs, below a panel."""
    among = {name: rows[rows["among"] == name] for name in ("set", "class")}
    markers = dict(zip(colours, itertools.cycle(_MARKERS), strict=False))
    handles = []
    for row in among["set"][among["set"]["train_size"].isin(list(colours))].to_dict("records"):
        size = int(row["train_size"])
        look: dict[str, Any] = {"color": colours[size], "marker": markers[size], "markersize": 4, "linewidth": 1.2}
        handles.append(Line2D([], [], label=f"$N$ = {size}: {_correlation(row)}", **look))
    for name, words in (("set", "all runs"), ("class", "within classes")):
        for row in among[name][among[name]["train_size"].isna()].to_dict("records"):
            handles.append(Line2D([], [], linestyle="", label=f"{words}: {_correlation(row)}"))
    if handles:
        title = r"Spearman's $\rho$, above 0: typical first"
        beneath = ax.transAxes + ScaledTranslation(0, -_BENEATH, ax.figure.dpi_scale_trans)
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": beneath}
        ax.legend(handles=handles, title=title, fontsize=6.5, title_fontsize=6.5, handlelength=1.6, **place)


def _correlation(row: Mapping[Any, Any]) -> str:
    value, low, high = (wording.exponent_label(float(row[key])) for key in ("correlation", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]"


def _steps(panels: Sequence[Axes], points: pd.DataFrame) -> None:
    """The same logarithmic steps in all panels, and above them a place for images that were never copied."""
    steps = points["first_step"].dropna().astype(float)
    if steps.empty:
        for ax in panels:
            ax.set_yticks([])
        return
    never = points["first_step"].isna().any()
    for ax in panels:
        ax.set_ylim(steps.min() / 1.3, steps.max() * 1.3)
        style.logarithmic(ax, "y")
        ticks = [tick for tick in ax.get_yticks() if steps.min() / 1.3 <= tick <= steps.max() * 1.15]
        label = wording.power_label if steps.max() >= 1e4 else wording.number_label
        labels = [label(tick) for tick in ticks]
        if never:
            ax.axhline(math.sqrt(_ABOVE) * steps.max(), color="0.7", linestyle=style.DOTS, linewidth=0.8)
            ticks, labels = [*ticks, _never(points)], [*labels, "never"]
            ax.set_ylim(steps.min() / 1.3, _never(points) * 1.3)
        ax.set_yticks(ticks, labels)
        ax.set_yticks([], minor=True)
