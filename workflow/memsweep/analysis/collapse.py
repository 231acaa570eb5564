"""How well curves of all runs fall together in a rescaled time, T = step · Π axis^-k.

A curve of a run, its gap of losses or share of copies, passes fixed levels at certain steps. Where all runs follow one
curve in T, the log10 T of these passages is the same for all of them, but for what repetitions of one point of the
grid differ by. So the number is the **spread**, the standard deviation of log10 T at fixed levels among runs that are
equal on every other axis, over the **pure error**, that among repetitions: 1 where curves collapse, more where the
axes leave a trace. It is given for no rescaling, for the exponents of the normalised step of Marion & Wu 2026 (arXiv
2605.06077), for fitted ones, and where N and P vary for the time of which N / √P is the variable (arXiv 2505.20123).

The model, for the passages y of a level,

    y = intercept of the group + Σ k · log10(axis) + deviation of the axes' values + σ · ε,

has what collapses in its first two terms. Of the deviations the sum of squares over σ², λ, is the noncentrality of the
F statistic of values against repetitions, and spread over pure error is √(1 + λ / ν), ν being the spread's degrees of
freedom. The interval of the ratio is that of λ, by inversion of the noncentral F distribution (Steiger 2004), so it
holds for the values of the axes that were swept. That of the spread alone is that of a normal standard deviation, which
is wider than it has to be for such values.

An observation is a training set, means over its seeds, where some point of the grid has two of them; else a run, and
the pure error leaves out what other images would do. Where there are no repetitions the error is that of a single
onset, by its own interval, and a ratio above 1 may be the scatter between seeds. The pure error is that of all points
of the study together. Sets that several points share are taken as independent, by which intervals at 95 % cover 0.90 in
a simulated factorial on two sets (`benchmarks/coverage.py`). The levels of a run move together, so they count as one
observation, their squares averaged. Used are the levels that every run along an axis passes, of those of the table
``thresholds`` that lie above noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..study.axes import SUBSET, Axis, other_columns
from ..study.onsets import ONSETS
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from .onset import crossing
from .scaling import numeric_axes
from .spread import TRAINING_SETS, PureError, Rescaling, onset_error, pure_error, spread

Array = NDArray[np.float64]

# Curves that are shares of copies are metrics of the same name; gaps are of the mean losses
SHARES = tuple(name for name, definition in ONSETS.items() if definition.of in ("copies", "similarity"))
GAPS = {
    "loss_gap_absolute": lambda train, test: test - train,
    "loss_gap_relative": lambda train, test: test / train - 1,
}
CURVES = tuple(name for name in ONSETS if name in (*GAPS, *SHARES))

# Exponents k of the onset in the normalised step; the model size is not in it
PAPER: Mapping[str, float] = {"train_size": 1.0, "batch_size": -1.0, "learning_rate": -1.0, "parameters": 0.0}


def curves(name: str, trajectories: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One kind of curve of all runs: columns ``run_id``, ``step`` and ``value``, finite, in order of steps.

    Args:
        name: one of `CURVES`.
        trajectories, metrics: the tables.
    """
    if name in SHARES:
        rows = metrics[(metrics["metric"] == name) & (metrics["reference"] == "train") & metrics["step"].notna()]
        found = rows[["run_id", "step", "value"]]
    else:
        losses = trajectories[trajectories["split"].isin(["train", "test"])]
        wide = losses.pivot(index=["run_id", "step"], columns="split", values="loss").dropna()
        found = GAPS[name](wide["train"], wide["test"]).rename("value").reset_index() if len(wide) else wide
    if found.empty:
        return pd.DataFrame(columns=["run_id", "step", "value"])
    known = found[np.isfinite(found["value"].to_numpy(float))]
    return known.astype({"step": float}).sort_values(["run_id", "step"], ignore_index=True)


def collapse(tables: Mapping[str, pd.DataFrame], axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """Spread over pure error of each kind of curve, along each axis and all together, under each rescaling.

    Args:
        tables: ``runs``, ``trajectories``, ``metrics``, ``onsets`` and ``thresholds``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``collapse``. Runs without any evaluation are left out.
    """
    runs, onsets, thresholds = (tables[name] for name in ("runs", "onsets", "thresholds"))
    rows = []
    for name in CURVES:
        looked_at = thresholds[thresholds["definition"] == name]
        above = looked_at.groupby("threshold")["runs_in_noise"].max() == 0
        passages = _passages(
            curves(name, tables["trajectories"], tables["metrics"]), above.index[above].to_numpy(float)
        )
        if not len(passages):
            continue
        known = runs.merge(passages, left_on="run_id", right_index=True)
        own = onset_error(onsets[onsets["definition"] == name], confidence)
        for along, swept in combinations(axes, runs):
            rows += [
                {"curve": name, "axis": along, **row}
                for row in rescaled(known, [float(each) for each in passages.columns], axes, swept, own, confidence)
            ]
    return frame_of(rows, SCHEMAS["collapse"].names)


def _passages(rows: pd.DataFrame, levels: Array) -> pd.DataFrame:
    """The log10 steps at which each run passes each level, NaN where that is not seen; one row a run."""
    found = {}
    for run_id, curve in rows.groupby("run_id"):
        steps, values = curve["step"].to_numpy(float), curve["value"].to_numpy(float)
        passed = np.array([float(crossing(steps, values, level)) for level in levels])
        with np.errstate(divide="ignore"):
            found[str(run_id)] = np.where(np.isfinite(passed) & (passed > 0), np.log10(passed), np.nan)
    return pd.DataFrame.from_dict(found, orient="index", columns=levels.tolist())


def combinations(axes: Sequence[Axis], runs: pd.DataFrame) -> Iterator[tuple[str, list[Axis]]]:
    """The axes along which curves are held together: each swept one of positive numbers, N with P, and all."""
    swept = [axis for axis in numeric_axes(axes, runs) if runs[axis.column].nunique() > 1]
    yield from ((axis.coordinate, [axis]) for axis in swept)
    size_and_model = [axis for axis in swept if axis.coordinate in ("train_size", "parameters")]
    if len(size_and_model) == 2 and len(swept) > 2:
        yield "train_size and parameters", size_and_model
    if len(swept) > 1:
        yield "all", swept


def rescalings(terms: Sequence[str]) -> Iterator[Rescaling]:
    """The ways to rescale time that are compared along some terms."""
    yield Rescaling("none", dict.fromkeys(terms, 0.0))
    if set(terms) <= set(PAPER):
        yield Rescaling("paper", {term: PAPER[term] for term in terms})
    yield Rescaling("fitted", {}, [{term: 1.0} for term in terms])
    if {"train_size", "parameters"} <= set(terms):
        others = [{term: 1.0} for term in terms if term not in ("train_size", "parameters")]
        yield Rescaling("n_over_root_p", {}, [{"train_size": 1.0, "parameters": -0.5}, *others])


def rescaled(
    known: pd.DataFrame, levels: list[float], axes: Sequence[Axis], swept: Sequence[Axis], own: PureError, level: float
) -> Iterator[dict[str, Any]]:
    """The columns of the table ``collapse`` along some axes, every other one held fixed, a row for each rescaling.

    Args:
        known: runs with a column of log10 steps for each level, NaN where the passage is not seen.
        levels: those columns.
        axes: all of the grid.
        swept: those along which curves are held together.
        own: the error of single onsets, for want of repetitions.
        level: of the intervals, between 0 and 1.
    """
    others = [column for column in other_columns(axes, swept[0]) if column not in {axis.column for axis in swept}]
    group = known.groupby(others, dropna=False).ngroup() if others else pd.Series(0, index=known.index)
    varies = known.groupby(group)[[axis.column for axis in swept]].transform("nunique").max(axis=1) > 1
    used = known[varies]
    passed = [each for each in levels if used[each].notna().all()]
    counts = {"levels": len(passed), "runs": len(used)}
    terms = [axis.coordinate for axis in swept]
    if used.empty:
        return
    if not passed:
        yield from ({"exponents": way.name, **counts} for way in rescalings(terms))
        return
    cells = [axis.column for axis in axes if not axis.repeats]
    error = pure_error(known, passed, cells) or own
    units = used.assign(group=group[varies])
    if error.of == TRAINING_SETS:
        units = _units(units, cells, terms, passed)
    for way in rescalings(terms):
        yield {"exponents": way.name, **spread(units, passed, cells, way, error, level), **counts}


def _units(used: pd.DataFrame, cells: Sequence[str], terms: Sequence[str], levels: Sequence[float]) -> pd.DataFrame:
    """Training sets in place of their seeds, whose means they have."""
    values = [*(term for term in terms if term not in cells), *levels]
    return used.groupby([*cells, SUBSET, "group"], dropna=False, as_index=False)[values].mean()
