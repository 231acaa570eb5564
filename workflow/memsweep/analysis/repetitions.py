"""The onset at each point of the grid over its repetitions, beside what one run says of it.

The interval of a run is of its samples, or noisy images, alone: seeds and training subsets differ by more.
Here the units are training sets: of each, the logarithms of the onsets of its seeds are averaged, and these means have
Student's interval, as another subset would move the onset, and seeds of one subset share what it has. A mean of which
a part is only bounded has no such interval: where a repetition is censored on either side, there is none, and no onset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..study.axes import Axis
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of


def onsets_over_repetitions(
    onsets: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float
) -> pd.DataFrame:
    """The onset of every point of the grid that is repeated, under every definition.

    Args:
        onsets: table ``onsets``.
        runs: table ``runs``, with every run of ``onsets``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``onsets_over_repetitions``, definition by definition, points in the order of their first runs.
    """
    point = [axis.column for axis in axes if not axis.repeats]
    table = runs.reset_index(drop=True).reset_index(names="place").merge(onsets, on="run_id")
    rows = []
    for definition in dict.fromkeys(onsets["definition"]):
        under = table[table["definition"] == definition]
        for _, repeats in under.groupby(point, sort=False, dropna=False):
            if len(repeats) > 1:
                rows.append({"definition": definition, **_row(repeats.sort_values("place"), confidence)})
    return frame_of(rows, SCHEMAS["onsets_over_repetitions"].names)


def _row(repeats: pd.DataFrame, confidence: float) -> dict[str, Any]:
    first, censored = repeats.iloc[0], repeats[["censored", "left_censored"]].any(axis=1)
    row = {
        "run_id": first["run_id"],
        "run_ci_low": first["ci_low"],
        "run_ci_high": first["ci_high"],
        "runs": len(repeats),
        "sets": repeats["subset"].nunique(),
        "censored_runs": int(repeats["censored"].sum()),
        "left_censored_runs": int(repeats["left_censored"].sum()),
    }
    if censored.any():
        unknown = {"onset": math.nan, "ci_low": math.nan, "ci_high": math.nan}
        return {**row, **unknown, "reason": f"{int(censored.sum())} of {len(repeats)} runs are censored"}
    logs = repeats.assign(log=np.log(repeats["step"].to_numpy(np.float64)))
    means = logs.groupby("subset")["log"].mean().to_numpy(np.float64)
    onset = float(np.exp(means.mean()))
    if len(means) < 2:
        return {**row, "onset": onset, "ci_low": math.nan, "ci_high": math.nan, "reason": "one training set"}
    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    factor = math.exp(float(student.ppf((1 + confidence) / 2, len(means) - 1)) * error)
    return {**row, "onset": onset, "ci_low": onset / factor, "ci_high": onset * factor, "reason": None}
