"""Panels that show one swept axis of the grid from left to right, a run at its value."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from . import wording

_DODGE = 0.03  # of the width of a panel, between neighbouring seeds
_MARGIN = 0.14  # of the range of an axis, left and right of it


def coordinate(axis: str) -> str:
    """The column of the runs table that is drawn for an axis: a model size is its parameters."""
    return "parameters" if axis == "base_channels" else axis


def places_of(runs: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Where each run stands on the logarithmic axis, the seeds of a value side by side around it."""
    values = runs[coordinate(axis)].astype(float)
    width = (values.max() / values.min()) ** (1 + 2 * _MARGIN) if values.nunique() > 1 else 4.0
    ranks = runs.groupby(axis)["seed"].rank(method="first")
    places = values * width ** (_DODGE * (ranks - ranks.groupby(runs[axis]).transform("mean")))
    return runs[["run_id", axis]].assign(place=places)


def show_values(ax: Axes, runs: pd.DataFrame, axis: str) -> None:
    """A logarithmic axis with a tick at each value."""
    places = runs.groupby(axis)[coordinate(axis)].first()
    labels = wording.value_labels(axis, runs)
    low, high = float(places.min()), float(places.max())
    margin = (high / low) ** _MARGIN if high > low else 2.0
    ax.set_xscale("log")
    ax.set_xlim(low / margin, high * margin)
    # Long labels close together are slanted.
    slant: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    crowded = len(labels) > 3 and axis in ("base_channels", "learning_rate")
    ax.set_xticks([float(places[value]) for value in labels], list(labels.values()), **(slant if crowded else {}))
    ax.set_xticks([], minor=True)
    ax.set_xlabel(wording.AXIS_LABELS[axis])
