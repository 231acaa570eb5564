"""What a run is worth before it memorises.

Peak fidelity is the smallest sliced Wasserstein distance to the held-out images at any evaluation up to the onset τ_mem
(Marion & Wu 2026, arXiv 2605.06077). The smaller, the better. It depends on the definition of the onset, and is given
under each.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..metrics.floors import HALVES, PEAK_DISTANCE

# The distances whose least value is the peak of fidelity
PEAK_DISTANCES = (PEAK_DISTANCE,)
CORRECTED = f"{PEAK_DISTANCE}_corrected"
HALVED = tuple(f"{CORRECTED}_{half}" for half in HALVES)

# An onset that falls on an evaluation may differ from it by rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Peak:
    """A peak fidelity; NaN where the run does not tell.

    Attributes:
        value: distance in the unit of its space.
        ci_low, ci_high: ends of its confidence interval.
        step: the evaluation of the smallest distance.
    """

    value: float
    ci_low: float
    ci_high: float
    step: int | None = None


UNKNOWN = Peak(math.nan, math.nan, math.nan)


def peaks(onsets: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Peak fidelity of every run under every definition of the onset.

    That of a run that ended before its onset is the best of the whole run, which a longer run could
    better: it is flagged as censored. Nothing is known of the
    fidelity before an onset that the first evaluation was too late for.

    Args:
        onsets: table ``onsets``.
        metrics: table ``metrics`` of the same runs.

    Returns:
        Table ``peaks``: in the order of ``onsets``, a row for each distance to the held-out
        images that the study measured, in each space.
    """
    at_steps = metrics[metrics["step"].notna() & np.isfinite(metrics["value"].to_numpy(np.float64))]
    distances = _by_kind(at_steps[at_steps["metric"].isin(PEAK_DISTANCES) & (at_steps["reference"] == "test")])
    on_halves = _by_kind(at_steps[at_steps["metric"].isin(HALVED)])
    none = metrics.head(0)
    rows: list[dict[str, Any]] = []
    for onset in onsets.to_dict("records"):
        run_id, censored = onset["run_id"], onset["censored"]
        head = {"run_id": run_id, "definition": onset["definition"], "censored": censored}
        until = math.inf if censored else 0.0 if onset["left_censored"] else onset["step"]
        for (metric, space), runs in distances.items():
            peak = peak_fidelity(runs.get(run_id, none), until)
            rows.append({**head, "metric": metric, "space": space, **asdict(peak)})
        for space in dict.fromkeys(space for _, space in on_halves):
            first, second = (on_halves.get((name, space), {}).get(run_id, none) for name in HALVED)
            peak = told_by_the_other_half(first, second, until)
            rows.append({**head, "metric": CORRECTED, "space": space, **asdict(peak)})
    columns = ["run_id", "definition", "metric", "space", "step", "value", "ci_low", "ci_high", "censored"]
    return pd.DataFrame(rows, columns=columns).astype({"step": "Int64", "censored": bool})


def _by_kind(metrics: pd.DataFrame) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
    """(metric, space) to run to its rows, in the order of their steps."""
    return {
        (str(metric), str(space)): {str(run_id): run for run_id, run in kind.sort_values("step").groupby("run_id")}
        for (metric, space), kind in metrics.groupby(["metric", "space"])
    }


def peak_fidelity(distances: pd.DataFrame, until: float) -> Peak:
    """The smallest distance of one run at any evaluation up to a step.

    Its interval is that of the evaluation where it lies. The smallest of several noisy values
    is low by some of their noise, which the interval does not know of, the less the more
    images are generated.

    Args:
        distances: columns ``step``, ``value``, ``ci_low`` and ``ci_high``; values finite.
        until: the onset, infinite for the whole run.
    """
    before = distances[distances["step"].to_numpy(np.float64) <= until * (1 + ROUNDING)]
    if before.empty:
        return UNKNOWN
    best = before.iloc[int(before["value"].to_numpy(np.float64).argmin())]
    return Peak(float(best["value"]), float(best["ci_low"]), float(best["ci_high"]), int(best["step"]))


def told_by_the_other_half(first: pd.DataFrame, second: pd.DataFrame, until: float) -> Peak:
    """The peak of one run's fidelity, without the luck that the least of several noisy values has.

    Where the distance is least is read off one half of the samples, and how large it is there off the other, and the
    other way round: so what decides about the evaluation is no part of its value. The value is the mean of the two. It
    is that of an evaluation as good as half of the samples can tell, and so at least the least of all expected values.

    Args:
        first, second: of either half columns ``step``, ``value``, ``ci_low`` and ``ci_high``; values finite.
        until: the onset, infinite for the whole run.
    """
    both = first.merge(second, on="step", suffixes=("_first", "_second"))
    before = both[both["step"].to_numpy(np.float64) <= until * (1 + ROUNDING)]
    if before.empty:
        return UNKNOWN
    rows = {half: before.iloc[int(before[f"value_{half}"].to_numpy(np.float64).argmin())] for half in HALVES}
    told = [(rows[HALVES[0]], HALVES[1]), (rows[HALVES[1]], HALVES[0])]
    value = sum(float(row[f"value_{other}"]) for row, other in told) / 2
    # The halves share no sample, but where both choose one evaluation both are low there: as if they were one
    low, high = (
        sum(float(abs(row[f"{end}_{other}"] - row[f"value_{other}"])) for row, other in told) / 2
        for end in ("ci_low", "ci_high")
    )
    together = before["value_first"].to_numpy(np.float64) + before["value_second"].to_numpy(np.float64)
    return Peak(value, value - low, value + high, int(before["step"].iloc[int(together.argmin())]))
