"""The stage ``collect``: the tables of a study, from those of its packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from .tables import read_table, write_table

# What tells the mean losses of trajectories apart.
KEYS = ["run_id", "step", "split"]


def collect(settings: Mapping[str, Any], train: Path, measured: Path, output: Path) -> None:
    """Write ``runs``, ``trajectories``, ``noise_levels`` and ``metrics`` of a study.

    Args:
        settings: ``jobs``, the packs' job paths; ``noise_levels``; ``confidence``.
        train: folder of the packs' training results, one folder a job path.
        measured: likewise, of their metrics.
        output: folder that receives the tables.
    """
    jobs, confidence = settings["jobs"], settings["confidence"]
    runs = gather(train, jobs, "runs")
    trajectories, noise_levels = [], []
    for job in jobs:
        losses = read_table(train / job / "losses.parquet", "losses")
        trajectories.append(mean_losses(losses, KEYS, confidence))
        bins = by_noise_level(losses, settings["noise_levels"])
        noise_levels.append(mean_losses(bins, [*KEYS, "noise_level"], confidence))
    write_table(output / "runs.parquet", "runs", runs)
    write_table(output / "trajectories.parquet", "trajectories", pd.concat(trajectories, ignore_index=True))
    write_table(output / "noise_levels.parquet", "noise_levels", pd.concat(noise_levels, ignore_index=True))
    write_table(output / "metrics.parquet", "metrics", gather(measured, jobs, "metrics"))


def gather(folder: Path, jobs: Sequence[str], name: str) -> pd.DataFrame:
    """The rows of one table of every pack, in the packs' order."""
    return pd.concat([read_table(folder / job / f"{name}.parquet", name) for job in jobs], ignore_index=True)


def by_noise_level(losses: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Losses with column ``noise_level``: the middle of the one of ``bins`` equal intervals that holds the time."""
    lower = np.minimum(np.floor(losses["time"].to_numpy(np.float64) * bins), bins - 1)
    return losses.assign(noise_level=(lower + 0.5) / bins)


def mean_losses(losses: pd.DataFrame, keys: list[str], confidence: float) -> pd.DataFrame:
    """Mean loss for each value of the ``keys``, ``split`` being one, with the normal interval of a mean.

    The units of the standard error are held-out images, or surrogates, each with all the noise it is evaluated
    under, and on the training set, which is known whole, the noisy images. That their times are
    stratified narrows the mean's true spread and is left out, so the interval is a wide one.
    """
    table = losses.astype({"loss": "float64"})
    table["unit"] = table["item"].where(table["split"] == "train", table["index"])
    groups = table.groupby(keys, sort=False)["loss"]
    totals = table.assign(deviation=table["loss"] - groups.transform("mean"))
    units = totals.groupby([*keys, "unit"], sort=False)["deviation"].sum().pow(2).groupby(keys, sort=False)
    squares = units.agg(["sum", "count"])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares["sum"] * squares["count"] / (squares["count"] - 1) / groups.count() ** 2
    margin = (norm.ppf((1 + confidence) / 2) * np.sqrt(variance)).fillna(np.inf)
    mean = groups.mean()
    return pd.DataFrame({"loss": mean, "ci_low": mean - margin, "ci_high": mean + margin}).reset_index()
