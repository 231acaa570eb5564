"""The rows that figures show: runs along one axis, their times, one metric, and its band over repetitions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..study.axes import Axis, other_columns


def along(runs: pd.DataFrame, axes: Sequence[Axis], axis: Axis) -> pd.DataFrame:
    """The runs that vary along one axis, every other axis held fixed, seeds and subsets aside.

    Among the groups of runs that agree in the other axes this is the one with the most
    values of ``axis``; of several such, the one with the most runs; then the one that is
    nearest to the base point, equal to it on the most axes; then the first.
    """
    groups = [group for _, group in runs.groupby(other_columns(axes, axis), sort=False, dropna=False)]
    fixed = [other for other in axes if other.column != axis.column and not other.repeats]

    def worth(group: pd.DataFrame) -> tuple[int, int, int]:
        at_base = sum(bool(group[other.column].iloc[0] == other.base) for other in fixed)
        return group[axis.column].nunique(), len(group), at_base

    return max(groups, key=worth, default=runs)


def swept(runs: pd.DataFrame, axes: Sequence[Axis]) -> list[Axis]:
    """The axes along which runs vary, every other one held fixed; the first axis where there is none."""
    return [axis for axis in axes if not axis.repeats and along(runs, axes, axis)[axis.column].nunique() > 1] or [
        axes[0]
    ]


def normalised_step(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.Series[float]:
    """T = step · (N_min / N) · (B / B_min) · (η / η_min) for each row (Marion & Wu 2026).

    The minima are over ``runs``. Time to memorise in proportion to N, 1 / B and 1 / η would
    make the runs' curves one curve in T.

    Args:
        rows: columns ``run_id`` and ``step``.
        runs: rows of the runs table, at least all those named in ``rows``.
    """
    scale = (
        (runs["train_size"].min() / runs["train_size"])
        * (runs["batch_size"] / runs["batch_size"].min())
        * (runs["learning_rate"] / runs["learning_rate"].min())
    )
    factor = rows["run_id"].map(dict(zip(runs["run_id"], scale, strict=True)))
    return (rows["step"].astype(float) * factor.astype(float)).rename("time")


def timed(rows: pd.DataFrame, runs: pd.DataFrame, time: str) -> pd.DataFrame:
    """The rows of these runs, with the columns of ``runs`` and a column ``time``.

    Args:
        rows: rows of a table with columns ``run_id`` and ``step``.
        runs: the runs to keep.
        time: ``normalised_step`` or ``step``.
    """
    kept = rows[rows["run_id"].isin(runs["run_id"]) & rows["step"].notna()]
    joined = kept.merge(runs, on="run_id", how="left")
    joined["time"] = normalised_step(joined, runs) if time == "normalised_step" else joined["step"].astype(float)
    return joined.sort_values(["run_id", "step"], ignore_index=True)


def metric(metrics: pd.DataFrame, name: str, reference: str, space: str) -> pd.DataFrame:
    """The finite values of one metric against one reference, in one feature space."""
    wanted = (
        (metrics["metric"] == name)
        & (metrics["reference"] == reference)
        & ((metrics["space"] == space) | metrics["space"].isna())
        & np.isfinite(metrics["value"].to_numpy(dtype=float))
    )
    found: pd.DataFrame = metrics[wanted]
    return found


def over_runs(means: pd.DataFrame) -> pd.DataFrame:
    """The table ``agreement_over_pairs`` with the intervals over runs, where there are any, else those of latents."""
    ends = {end: means[end].fillna(means[f"latents_{end}"]) for end in ("ci_low", "ci_high")}
    return means.assign(**ends)


def floor(metrics: pd.DataFrame, runs: pd.DataFrame, name: str, space: str) -> tuple[float, float, float] | None:
    """What real images score against the held-out ones in place of samples of these runs, if that is known.

    Returns:
        The mean, and the ends of the interval in which another draw of real images lies: the outermost of the runs'.
    """
    rows = metric(metrics[metrics["run_id"].isin(runs["run_id"])], f"{name}_floor", "test", space)
    if rows.empty:
        return None
    return float(rows["value"].mean()), float(rows["ci_low"].min()), float(rows["ci_high"].max())


def over_repetitions(rows: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """Mean and band of ``value`` over seeds and subsets, for each value of an axis and step.

    Returns:
        The axis's column, ``step``, ``time``, ``mean``, ``low`` and ``high``. The band runs
        from the lowest to the highest end of the runs' confidence intervals, so that it
        means the same for one run as for several, and never looks surer for having two.
    """
    ends = rows.assign(low=rows["ci_low"].fillna(rows["value"]), high=rows["ci_high"].fillna(rows["value"]))
    bands: pd.DataFrame = ends.groupby([axis.column, "step"], as_index=False).agg(
        time=("time", "first"), mean=("value", "mean"), low=("low", "min"), high=("high", "max")
    )
    return bands


def censored_count(fit: Mapping[Hashable, Any]) -> int:
    """Runs of a row of the table ``scaling`` that are censored on either side."""
    return int(fit["censored_runs"]) + int(fit["left_censored_runs"])
