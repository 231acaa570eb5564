"""What networks trained on noisy digits attend to: input gradients and denoised images, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...tables.parquet import read_arrow, read_table
from .. import style
from ..page import page

SOURCES = ("noisy_maps",)

# Columns: network, objective and kind of map, with the heading of the column
_COLUMNS = (
    ("quadratic", "classification", "clean", "image | noise"),
    ("quadratic", "classification", "shown", "gradient,\nquadratic"),
    ("convolutional", "classification", "shown", "gradient,\nconvolutional"),
    ("quadratic", "diffusion", "seen", "noisy input"),
    ("quadratic", "diffusion", "shown", "denoised,\nquadratic"),
    ("convolutional", "diffusion", "shown", "denoised,\nconvolutional"),
)


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw, for each SNR and example, what each network sees, attends to and makes of it.

    Args:
        sources: ``noisy_maps``, the folder of that stage.
        settings: ``jobs``, the tables below that folder.
    """
    paths = [sources["noisy_maps"] / job for job in settings["jobs"]]
    maps = pd.concat([read_table(path, "noisy_maps") for path in paths], ignore_index=True)
    metadata = read_arrow(paths[0], "noisy_maps").schema.metadata
    height, width = (int(part) for part in metadata[b"patch_shape"].decode().split(","))
    rows = sorted({(snr, example) for snr, example in zip(maps["snr"], maps["example"], strict=True)})
    with style.styled():
        on = page(settings)
        tall = (on.width / len(_COLUMNS) * height / (2 * width) + 0.05) * len(rows)
        figure = on.figure(single=tall + 1.3, double=tall + 0.75)
        on.heading(figure, f"dataset {metadata[b'dataset'].decode()}: held-out images, one of each class")
        panels = figure.subplots(len(rows), len(_COLUMNS), squeeze=False)
        for row, (snr, example) in enumerate(rows):
            here = maps[(maps["snr"] == snr) & (maps["example"] == example)]
            for column, (network, objective, kind, heading) in enumerate(_COLUMNS):
                ax = panels[row, column]
                chosen = here[(here["network"] == network) & (here["objective"] == objective) & (here["kind"] == kind)]
                values = np.asarray(chosen["values"].iloc[0]).reshape(2, height, width)
                _show(ax, values, gradient=kind == "shown" and objective == "classification")
                if row == 0:
                    ax.set_title(heading, loc="center", rotation=90 if on.is_single else 0)
            panels[row, 0].set_ylabel(f"{snr:g}" if on.is_single else f"SNR {snr:g}")
        if on.is_single:
            figure.supylabel("SNR", fontsize="medium")
    return figure


def _show(ax: Axes, patches: np.ndarray, *, gradient: bool) -> None:
    """Both patches side by side on one scale: gradients by absolute value, images in grey around 0."""
    joined = np.concatenate(list(patches), axis=1)
    if gradient:
        joined = np.abs(joined)
        ax.imshow(joined, cmap="magma", vmin=0, vmax=joined.max() or 1, interpolation="nearest")
    else:
        bound = np.abs(joined).max()
        ax.imshow(joined, cmap="gray", vmin=-bound, vmax=bound, interpolation="nearest")
    ax.axvline(patches.shape[2] - 0.5, color="w", linewidth=1.2)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
