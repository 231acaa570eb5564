"""By what factor other onsets follow the bias of the same runs.

Of each run whose onset of bias is known, and that of another definition, the ratio of both is taken. Its mean over
runs, in logarithms, has Student's interval, as runs of disjoint training sets, or of other sizes, are independent. Runs
of which one of both is censored are left out and counted: where they are many, the factor is that of the others alone.
Three or more runs of one size that are compared with each other share the runs that they are compared with, which the
interval leaves out: there, and where seeds share training sets, it may be too narrow.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..tables.contracts import SCHEMAS


def leads(onsets: pd.DataFrame, runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The ratio of each other onset to that of bias, for each train size and over all.

    Args:
        onsets: table ``onsets``.
        runs: table ``runs``, with every run of ``onsets``.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``leads``; an interval is NaN for fewer than two runs, and the ratio for none.
    """
    bias = onsets[onsets["definition"] == "bias"].merge(runs[["run_id", "train_size"]], on="run_id")
    others = onsets[onsets["definition"] != "bias"]
    both = others.merge(bias, on="run_id", suffixes=("", "_of_bias"))
    rows = []
    for definition, of in both.groupby("definition", sort=False):
        sizes = [(None, of), *((size, of[of["train_size"] == size]) for size in sorted(of["train_size"].unique()))]
        for size, group in sizes:
            rows.append({"definition": definition, "train_size": size, **_ratio(group, confidence)})
    return pd.DataFrame(rows, columns=SCHEMAS["leads"].names).astype({"train_size": "Int64"})


def _ratio(group: pd.DataFrame, confidence: float) -> dict[str, float]:
    sides = ["censored", "left_censored", "censored_of_bias", "left_censored_of_bias"]
    known = group[~group[sides].any(axis=1)]
    logs = np.log(known["step"].to_numpy(float) / known["step_of_bias"].to_numpy(float))
    count = len(logs)
    middle = float(logs.mean()) if count else math.nan
    error = float(logs.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    margin = float(student.ppf((1 + confidence) / 2, count - 1)) * error if count > 1 else math.nan
    ratio, low, high = np.exp([middle, middle - margin, middle + margin]).tolist()
    return {"ratio": ratio, "ci_low": low, "ci_high": high, "runs": count, "left_out": len(group) - count}
