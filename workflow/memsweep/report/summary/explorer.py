"""The explorer of runs: which there are, their curves along training, and where their onsets lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...figures.selection import along
from ...study.axes import Axis
from . import words
from .charts import DASHES, MOST_CHOSEN, PALETTE, panel
from .run_names import RunNames
from .tables import number

# Runs whose curves a page holds
MOST_RUNS = 300
# Of each panel of the figures: its title, the series with their names, and whether its scale is logarithmic
_DISTANCES = {
    "sliced_wasserstein": "sliced Wasserstein",
    "frechet": "Fréchet distance",
    "frechet_infinity": "Fréchet distance at ∞",
    "kid": "kernel distance",
}
_SHARES = {"f_mem": "share of copies f_mem", "f_mem_calibrated": "calibrated copies", "sscd_score": "SSCD score"}
_SERIES = {"train": "training images", "test": "held-out images", "control": "control images"}


def explored(
    tables: Mapping[str, pd.DataFrame], names: RunNames, axes: list[Axis], told: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What the explorer knows of runs; nothing where no curves are there.

    Args:
        tables: of the study, by name.
        names: of all its runs.
        axes: of the grid.
        told: what figures know of the study: ``panels``, ``distance``, ``onset`` and ``thresholds``.
    """
    if "trajectories" not in tables:
        return None
    runs = tables["runs"]
    kept = runs["run_id"].tolist()[:MOST_RUNS]
    places = {run: names.places[run] for run in kept}
    panels, curves, steps = [], [], _span(tables["trajectories"]["step"])
    for name in told["panels"]:
        rows = _rows(name, tables, told["distance"], places)
        if rows is not None and len(rows):
            series = [name for name in _SERIES.values() if name in set(rows["series"])]
            title, logarithmic = _title(name, told["distance"])
            legend = ", ".join(f"{line}: {of}" for line, of in zip(DASHES.values(), series, strict=False))
            panels.append({"title": title, "legend": legend, "chart": panel(title, series, logarithmic, steps)})
            curves.append(_columns(rows, places, logarithmic))
    if not panels:
        return None
    return {
        "panels": panels,
        "curves": curves,
        "onsets": _onsets(tables.get("onsets"), told["onset"], places),
        "onset": words.definition(told["onset"], told["thresholds"]),
        "first": [names.places[run] for run in _first(runs, axes, kept)],
        "runs": list(places.values()),
        "palette": PALETTE,
        "most": MOST_CHOSEN,
    }


def _span(steps: pd.Series[int]) -> tuple[float, float]:
    """The first and the last step on a logarithmic axis."""
    low, high = max(1.0, float(steps.min())), max(1.0, float(steps.max()))
    return (low, high) if low < high else (low / 2, high * 2)


def _title(name: str, space: str) -> tuple[str, bool]:
    if name == "loss":
        return "loss", True
    if name in _DISTANCES:
        return f"{_DISTANCES[name]} ({space})", name != "kid" and name != "frechet_infinity"
    return _SHARES.get(name, name.replace("_", " ")), False


def _rows(name: str, tables: Mapping[str, pd.DataFrame], space: str, runs: Mapping[str, int]) -> pd.DataFrame | None:
    """The curves of one panel: columns ``run_id``, ``step``, ``series``, ``value``, ``ci_low`` and ``ci_high``."""
    if name == "loss":
        rows = tables["trajectories"].rename(columns={"split": "series", "loss": "value"})
    elif name == "loss_gap" or "metrics" not in tables:
        return None  # a difference of two curves, which the panel of losses shows
    else:
        metrics = tables["metrics"]
        of = (metrics["metric"] == name) & metrics["step"].notna()
        spaces = metrics["space"].isna() | (metrics["space"] == space) if name not in _SHARES else True
        rows = metrics[of & spaces].rename(columns={"reference": "series"})
        if rows["space"].nunique() > 1:
            rows = rows[rows["space"] == space]
    rows = rows[rows["series"].isin(_SERIES) & rows["run_id"].isin(runs) & np.isfinite(rows["value"])]
    return rows.assign(series=rows["series"].map(_SERIES)).sort_values(["run_id", "series", "step"])


def _columns(rows: pd.DataFrame, places: Mapping[str, int], logarithmic: bool) -> dict[str, Any]:
    """Rows as columns of JSON; what a logarithm cannot show is left out."""
    if logarithmic:
        rows = rows[rows["value"] > 0]
        rows = rows.assign(ci_low=rows["ci_low"].where(rows["ci_low"] > 0, rows["value"]))
    levels = list(dict.fromkeys(rows["series"]))
    return {
        "run": [places[run] for run in rows["run_id"]],
        "step": [int(step) for step in rows["step"]],
        "series": [levels.index(series) for series in rows["series"]],
        "levels": levels,
        **{
            name: [number(float(f"{value:.4g}")) for value in rows[column]]
            for name, column in (("value", "value"), ("low", "ci_low"), ("high", "ci_high"))
        },
    }


def _onsets(onsets: pd.DataFrame | None, definition: str, places: Mapping[str, int]) -> dict[str, float]:
    """Where the runs' onsets are seen, by the run's place."""
    if onsets is None:
        return {}
    rows = onsets[(onsets["definition"] == definition) & ~onsets["censored"].astype(bool)]
    return {
        str(places[run]): round(float(step), 1)
        for run, step in zip(rows["run_id"], rows["step"], strict=True)
        if run in places
    }


def _first(runs: pd.DataFrame, axes: list[Axis], kept: list[str]) -> list[str]:
    """The runs that are shown at first: one for each value of the first axis that varies, the others held fixed."""
    swept = [axis for axis in axes if not axis.repeats and runs[axis.column].nunique() > 1]
    if not swept:
        return kept[:1]
    of = along(runs, axes, swept[0]).drop_duplicates(swept[0].column)
    return [run for run in of["run_id"] if run in set(kept)][:MOST_CHOSEN]
