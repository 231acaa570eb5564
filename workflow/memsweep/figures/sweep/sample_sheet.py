"""What a run generates as it trains, each image above the training image it is closest to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...base.errors import UserError
from ...data.images import decode
from ...metrics.novelty import copied
from ...study.axes import Axis, read_axes
from ...tables.frames import to_frame
from ...tables.parquet import image_shape, metadata_of, read_arrow, read_table
from .. import style, wording
from ..page import page

SOURCES = ("runs", "images", "samples", "neighbours")

_COPY = "#D55E00"
_LABELS = 1.05  # inches for the row labels
_HEADING, _TITLE_LINE = 0.31, 0.16  # inches above the images, and for each line of the title
_LETTERS = 85  # of a line of the title, over both columns of a page
_SMALLEST = 0.22  # inches of an image, of which no more are beside each other than there is room for
_TALLEST = 7.4  # inches, so that the sheet and its caption fit a page
_PAIR = 2.22  # height of a pair of rows and the space below it, in images

Images = npt.NDArray[np.uint8]


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw samples of one run at several steps, each above its nearest training image.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``run_id``; ``f_mem_threshold``, the ratio of distances below which a
            sample is a copy; ``sheet_steps`` and ``sheet_samples``, how many to show.

    Raises:
        UserError: there are no samples with neighbours of this run.
    """
    run_id = settings["run_id"]
    neighbours = _of_run(sources["neighbours"], "neighbours", run_id)
    neighbours = neighbours.filter(pc.equal(neighbours["reference"], "train"))
    samples = _of_run(sources["samples"], "samples", run_id)
    available = sorted(set(pc.unique(samples["step"]).to_pylist()) & set(pc.unique(neighbours["step"]).to_pylist()))
    if not available:
        raise UserError(f"{sources['samples']}: no samples of run {run_id} whose neighbours are known")
    steps = spread(available, settings["sheet_steps"])
    pairs = to_frame(neighbours.drop_columns(["reference"]))
    pairs["copied"] = copied(pairs, settings["f_mem_threshold"])
    on = page(settings)
    most = min(settings["sheet_samples"], int((on.width - _LABELS) / _SMALLEST))
    shown = np.sort(pairs.loc[pairs["step"] == steps[0], "index"].unique())[:most]

    images = read_arrow(sources["images"], "images")
    train = images.filter(pc.equal(images["split"], "train"))
    letters = on.line - 8 if on.is_single else _LETTERS  # the title is larger than other text
    title = _title(sources["runs"], run_id, read_axes(settings), letters)
    heading = _HEADING + _TITLE_LINE * (1 + title.count("\n"))
    with style.styled():
        columns = max(len(shown), 6)
        cell = min((on.width - _LABELS) / columns, (_TALLEST - heading) / (_PAIR * len(steps)))
        width = on.width if on.is_single else cell * columns + _LABELS
        height = cell * _PAIR * len(steps) + heading
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((_LABELS / width, 0, 1 - _LABELS / width, 1 - heading / height))
        for row, step in enumerate(steps):
            here = pairs[pairs["step"] == step]
            chosen = here[here["index"].isin(shown)].sort_values("index")
            generated = samples.filter(pc.equal(samples["step"], step))
            _row_of_pairs(ax, row * _PAIR, chosen, _generated(generated, chosen["index"]), _nearest(train, chosen))
            _label(ax, row * _PAIR, step, float(here["copied"].mean()))
        ax.set(xlim=(-0.04, columns + 0.04), ylim=(len(steps) * _PAIR, -0.04), aspect="equal", anchor="NW")
        ax.axis("off")
        left = 0.03 if on.is_single else _LABELS + 0.03
        _heading(figure, title, left, heading - 0.18, settings["f_mem_threshold"])
    return figure


def spread(steps: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of these steps, evenly spread on a logarithmic axis, first and last among them."""
    if count >= len(steps):
        return list(steps)
    if count == 1:
        return [steps[-1]]
    logs = np.log(np.maximum(steps, 1))
    chosen: list[int] = []
    for place, target in enumerate(np.linspace(logs[0], logs[-1], count)):
        # Leave a step for each target to come, and take each step once.
        first = chosen[-1] + 1 if chosen else 0
        free = range(first, len(steps) - (count - place - 1))
        chosen.append(min(free, key=lambda index: abs(logs[index] - target)))
    return [steps[index] for index in chosen]


def _of_run(path: Path, name: str, run_id: str) -> pa.Table:
    table = read_arrow(path, name)
    return table.filter(pc.equal(table["run_id"], run_id))


def _pixels(table: pa.Table, rows: Sequence[int]) -> list[Images]:
    """The images of these rows as arrays of height × width, × 3 in colour."""
    arrays = decode(table["image"].take(pa.array(rows, pa.int64())), image_shape(metadata_of(table)))
    return [array[:, :, 0] if array.shape[2] == 1 else array for array in arrays]


def _generated(samples: pa.Table, indices: pd.Series[int]) -> list[Images]:
    rows = {index: row for row, index in enumerate(samples["index"].to_pylist())}
    return _pixels(samples, [rows[index] for index in indices])


def _nearest(train: pa.Table, pairs: pd.DataFrame) -> list[Images]:
    return _pixels(train, pairs["nearest"].tolist())


def _row_of_pairs(ax: Axes, top: float, pairs: pd.DataFrame, upper: list[Images], lower: list[Images]) -> None:
    """Generated images above their nearest training images; copies framed."""
    for column, (pair, above, below) in enumerate(zip(pairs.itertuples(), upper, lower, strict=True)):
        for image, offset in ((above, 0.0), (below, 0.96)):
            left, high = column + 0.05, top + offset
            ax.imshow(
                image,
                extent=(left, left + 0.9, high + 0.95, high + 0.05),
                cmap="gray",
                vmin=0,
                vmax=255,
                interpolation="nearest",
            )
        if pair.copied:
            frame = Rectangle((column + 0.025, top + 0.025), 0.95, 1.91, fill=False, edgecolor=_COPY, linewidth=1.5)
            ax.add_patch(frame)


def _label(ax: Axes, top: float, step: int, share: float) -> None:
    count = f"{step:,}".replace(",", "\u2009")
    ax.text(-0.15, top + 0.5, f"step {count}", ha="right", va="center", size=7.5, weight="bold")
    ax.text(-0.15, top + 1.46, "nearest in train", ha="right", va="center", size=6.5, color="0.35")
    ax.text(-0.15, top + 0.98, rf"$f_\mathrm{{mem}}$ = {100 * share:.3g} %", ha="right", va="center", size=7)


def _title(path: Path, run_id: str, axes: Sequence[Axis], letters: int) -> str:
    runs = read_table(path, "runs")
    return wording.held_fixed(runs[runs["run_id"] == run_id], axes, None, letters) or f"run {run_id}"


def _heading(figure: Figure, title: str, left: float, below: float, threshold: float) -> None:
    """The title, so many inches from the left, and so many inches below the top what a frame means."""
    width, height = figure.get_size_inches()
    left /= width
    figure.text(left, 1 - 0.08 / height, title, va="top", size=8.5)
    figure.text(
        left,
        1 - below / height,
        rf"framed: a copy, $d_1 / d_2$ < {threshold:.2g}",
        va="top",
        size=7.5,
        color=style.INK,
    )
