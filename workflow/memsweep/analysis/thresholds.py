"""How the exponent of an onset depends on its threshold, and whether a power law holds there.

An exponent belongs to the definition of the onset and to its threshold. So it is estimated again at each threshold of a
grid, with the model of `scaling`, and between neighbouring values of the axis alone: of a power law all these local
slopes are one number.

Whether they are is tested as lack of fit: the line in log10(axis) against a level of its own for each value of the
axis, by the F statistic of nested least squares fits. Onsets on the same images lie closer together than those on
others. So along the axis `train_size`, whose values have other images each, an observation is a training set: the mean
of its runs, less what their groups have in common. Along every other axis an observation is a run, and those on the
same images are compared with each other alone. What is left out: sets of different sizes share images, and an axis may
do something else on other images. Values of the axis at which some run is censored are left aside, as the test knows no
bounds. It is not corrected for the number of thresholds, at which the runs are the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from ..study.axes import SUBSET, Axis
from ..study.onsets import ONSETS
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from .onset import NEVER_EVALUATED
from .scaling import exponent, groups, numeric_axes
from .threshold_curves import ThresholdCurve

# By the threshold's key of the config: shares, ratios and probabilities. What has another unit, as an absolute gap of
# losses, is looked at in multiples of the config's threshold.
GRIDS: Mapping[str, Sequence[float]] = {
    "loss_gap_relative": (0.1, 0.25, 0.5, 1.0),
    "f_mem": (0.02, 0.05, 0.1, 0.2, 0.5),
    "sscd_score": (0.02, 0.05, 0.1, 0.2, 0.5),
    "bias": (0.6, 0.65, 0.7, 0.8, 0.9),
    "split": (1.25, 1.5, 2.0, 3.0),
    "departure": (0.025, 0.05, 0.1, 0.2),
}
MULTIPLES = (0.25, 0.5, 1.0, 2.0)
# A sum of squares below this, of log10 steps, is rounding
ROUNDING = 1e-18

Found = Mapping[tuple[str, str], ThresholdCurve]


def thresholds_of(definition: str, configured: Mapping[str, Any]) -> list[float]:
    """The thresholds at which a definition is looked at, the config's among them, in increasing order."""
    key = ONSETS[definition].threshold
    own = float(configured[key])
    grid = GRIDS[key] if key in GRIDS else [factor * own for factor in MULTIPLES]
    return sorted({*grid, own})


def thresholds(
    curves: Found, runs: pd.DataFrame, axes: Sequence[Axis], configured: Mapping[str, Any], confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The exponents of each definition that has a threshold, at each of a grid, and the slopes that they average.

    Args:
        curves: by run and definition; a run without was never evaluated, or is in no pair.
        runs: table ``runs``.
        axes: all of the grid.
        configured: the config's ``onset``, with the threshold of each definition.
        confidence: level of the intervals, between 0 and 1; 1 less that is the level of the test.

    Returns:
        Tables ``thresholds`` and ``local_slopes``: rows for each definition, swept axis of positive numbers and
        threshold.
    """
    rows, slopes = [], []
    swept = [axis for axis in numeric_axes(axes, runs) if len(groups(runs, axes, axis)[0])]
    for definition, threshold, onsets in _onsets(curves, runs, configured):
        for axis in swept:
            used, group = groups(onsets, axes, axis)
            if used.empty:
                continue
            of = {"definition": definition, "term": axis.coordinate, "threshold": threshold}
            noise = used["noise"].to_numpy(np.float64)
            known = noise[~np.isnan(noise)]
            rows.append(
                {
                    **of,
                    **_exponent(used, group, axis, confidence),
                    "noise": known.max() if len(known) else math.nan,
                    "runs_in_noise": int((known > threshold).sum()),
                    **lack_of_fit(used, group, axis, confidence),
                }
            )
            slopes += [{**of, **slope} for slope in _local_slopes(used, axes, axis, confidence)]
    tables = {"thresholds": rows, "local_slopes": slopes}
    first, second = (frame_of(found, SCHEMAS[name].names) for name, found in tables.items())
    return first, second


def _onsets(
    curves: Found, runs: pd.DataFrame, configured: Mapping[str, Any]
) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Definition, threshold, and onsets with the columns of ``runs``: of every run, of pairs of those in one."""
    never = {name: value for name, value in vars(NEVER_EVALUATED).items() if not name.startswith("ci")}
    for definition in (name for name in ONSETS if ONSETS[name].threshold):
        own = {run_id: curve for (run_id, name), curve in curves.items() if name == definition}
        if not own:
            continue
        for threshold in thresholds_of(definition, configured):
            found = {run_id: {**curve.at(threshold), "noise": curve.noise} for run_id, curve in own.items()}
            if ONSETS[definition].of != "pairs":
                found = {run_id: found.get(run_id, {**never, "noise": math.nan}) for run_id in runs["run_id"]}
            table = pd.DataFrame.from_dict(found, orient="index").rename_axis("run_id").reset_index()
            yield definition, threshold, runs.merge(table, on="run_id")


def _exponent(used: pd.DataFrame, group: pd.Series[int], axis: Axis, confidence: float) -> dict[str, Any]:
    """The columns of an exponent in an axis: it, its interval, and the runs behind it."""
    sides = used["censored"], used["left_censored"]
    fit = exponent(used[axis.coordinate], used["step"], *sides, group, confidence)
    counts = {"censored_runs": int(sides[0].sum()), "left_censored_runs": int(sides[1].sum())}
    return {**vars(fit), "runs": len(used), **counts}


def _local_slopes(used: pd.DataFrame, axes: Sequence[Axis], axis: Axis, confidence: float) -> Iterator[dict[str, Any]]:
    """The exponent between neighbouring values of an axis, of groups that have both."""
    values = sorted(used[axis.column].unique())
    for low, high in itertools.pairwise(values):
        both, group = groups(used[used[axis.column].isin([low, high])], axes, axis)
        if len(both):
            ends = {"low": float(low), "high": float(high)}
            yield {**ends, **_exponent(both, group, axis, confidence)}


def lack_of_fit(used: pd.DataFrame, group: pd.Series[int], axis: Axis, confidence: float) -> dict[str, Any]:
    """Whether the onset is a power of an axis, or bends.

    Args:
        used: onsets with the columns of ``runs``, ``step``, ``censored`` and ``left_censored``, in groups where the
            axis varies.
        group: in which each lies.
        axis: one of positive numbers.
        confidence: 1 less the level of the test.

    Returns:
        ``p_value``, NaN where it cannot be tested, and ``power_law``: rejected, not rejected, or why not testable.
    """
    open_ended = used[["censored", "left_censored"]].any(axis=1).groupby(used[axis.column]).transform("any")
    known = used[~open_ended].assign(group=group[~open_ended], y=lambda rows: np.log10(rows["step"].astype(float)))
    if known[axis.column].nunique() < 3:
        return _untestable("fewer than three values" + " without a censored run" * bool(open_ended.any()))
    if axis.name == "train_size":
        observed = _of_sets(known)
    else:
        observed = known.assign(block=known.groupby(["group", SUBSET]).ngroup())
    y, intercepts = observed["y"].to_numpy(float), pd.get_dummies(observed["block"], dtype=float)
    line = np.column_stack([intercepts, np.log10(observed[axis.coordinate])])
    levels = np.column_stack([intercepts, pd.get_dummies(observed[axis.column], dtype=float)])
    (left, rank), (left_by_levels, rank_of_levels) = (_residual(design, y) for design in (line, levels))
    bends, freedom = rank_of_levels - rank, len(y) - rank_of_levels
    if bends < 1 or freedom < 1:
        return _untestable("no repetitions, which tell scatter from bends")
    if left_by_levels < ROUNDING:
        return _untestable("repetitions without scatter")
    p_value = float(stats.f.sf((left - left_by_levels) / bends / (left_by_levels / freedom), bends, freedom))
    return {"p_value": p_value, "power_law": "rejected" if p_value < 1 - confidence else "not rejected"}


def _of_sets(known: pd.DataFrame) -> pd.DataFrame:
    """The training sets as observations: what each adds to its groups, and the block of sets that groups connect."""
    keys = known.groupby(["train_size", SUBSET])
    of_set, of_group = keys.ngroup().to_numpy(), known["group"].astype("category").cat.codes.to_numpy()
    sets, groups_ = of_set.max() + 1, of_group.max() + 1
    design = np.zeros((len(known), sets + groups_))
    design[np.arange(len(known)), of_set] = design[np.arange(len(known)), sets + of_group] = 1
    effects = np.linalg.lstsq(design, known["y"].to_numpy(float))[0][:sets]
    links = sparse.coo_array((np.ones(len(known)), (of_set, sets + of_group)), shape=2 * (sets + groups_,))
    _, block = sparse.csgraph.connected_components(links, directed=False)
    return keys.size().index.to_frame(index=False).assign(y=effects, block=block[:sets])


def _untestable(why: str) -> dict[str, Any]:
    return {"p_value": math.nan, "power_law": f"not testable: {why}"}


def _residual(design: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """What a least squares fit leaves over, squared, and the rank of its design."""
    solution, _, rank, _ = np.linalg.lstsq(design, y)
    return float(np.square(y - design @ solution).sum()), int(rank)
