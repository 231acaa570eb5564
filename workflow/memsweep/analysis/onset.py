"""When memorisation starts: the onset τ_mem of one run under each definition, with intervals.

The definitions are those of `study.onsets`. Those of losses state in two ways what Marion & Wu 2026
(arXiv 2605.06077) read off by eye: the test loss leaving the training loss. The one of samples
counts copies, d1 / d2 < 1/3 to the two nearest training images (Bonnaire et al. 2025, arXiv
2505.17638). Every definition is a function of the evaluated
curve alone, interpolated between evaluations on a logarithmic step axis.

An onset needs an evaluation after it that confirms it: a curve is above its threshold at two
evaluations in a row, a loss is higher after its minimum. The last evaluation only confirms, so
that every run without an onset is censored at the evaluation before its last, whatever its last
one shows; to end it later where that shows nothing would let what is observed decide about when.

What a run cannot say is kept apart from what it says. Inside this module an onset is 0
where it lies at or before the first evaluation, and infinite where the run ended before it.
A table never holds these as the onset itself, but says that the onset is left-censored or
censored there. Its interval may hold them: ``ci_low`` = 0 means not bounded from below by
this run, ``ci_high`` = inf not bounded from above.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.errors import UserError
from ..metrics.novelty import copied

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Onset:
    """The onset of one run under one definition.

    Attributes:
        step: optimiser steps to the onset; that of the last evaluation but one where censored,
            as the last only confirms, the first evaluated step where the onset is at or before
            it, and 0 where the run was not evaluated twice.
        censored: the run ended before the onset.
        left_censored: the onset is at or before the first evaluation.
        ci_low: lower end of the confidence interval, in steps; 0 where this run does not
            bound the onset from below. Of a censored run it is what the run still says:
            the onset is later than this.
        ci_high: upper end, in steps; infinite where this run does not bound the onset
            from above, and so for every censored run.
    """

    step: float
    censored: bool
    left_censored: bool
    ci_low: float
    ci_high: float


NEVER_EVALUATED = Onset(step=0.0, censored=True, left_censored=False, ci_low=0.0, ci_high=math.inf)


def confirmable(steps: Array) -> Array:
    """The evaluated steps at which a run can show an onset: all but the last, which only confirms."""
    return steps[:-1]


def crossing(steps: Array, curves: Array, threshold: float) -> Array:
    """The step at which each curve rises above a threshold for good, as far as one can see.

    That is the first evaluation above the threshold whose successor is above it too, so a
    single outlier is no onset, and no onset is at the last evaluation, which has no successor.
    The step is interpolated linearly in log step between that evaluation and the one before,
    which is never above the threshold.

    Args:
        steps: increasing positive steps, shape (evaluations,), at least one.
        curves: finite values, shape (..., evaluations).
        threshold: in the unit of the curves.

    Returns:
        Steps, shape (...): 0 where the first evaluation crosses already, infinite where
        none does.
    """
    above = curves > threshold
    lasting = np.zeros_like(above)
    lasting[..., :-1] = above[..., :-1] & above[..., 1:]
    after = lasting.argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    low, high = _at(curves, before), _at(curves, after)
    between = after > 0  # not where none is lasting: argmax is 0 there, too
    fraction = np.divide(threshold - low, high - low, out=np.zeros_like(low), where=between)
    interpolated = steps[before] * (steps[after] / steps[before]) ** fraction
    return np.where(between, interpolated, np.where(lasting[..., 0], 0.0, np.inf))


def minimum(steps: Array, curves: Array) -> Array:
    """The step at which each curve is lowest.

    The lowest evaluation (the first of equals) and its neighbours fix a parabola in log
    step; its vertex, never further from that evaluation than half-way to a neighbour, is
    the minimum.

    Args:
        steps: increasing positive steps, shape (evaluations,), at least one.
        curves: finite values, shape (..., evaluations).

    Returns:
        Steps, shape (...): infinite where the last evaluation is the lowest, as the curve
        may fall further; 0 where the first of several is, as it may have risen before.
    """
    last = len(steps) - 1
    lowest = curves.argmin(axis=-1)
    before, after = np.maximum(lowest - 1, 0), np.minimum(lowest + 1, last)
    axis, bottom = np.log(steps), _at(curves, lowest)
    left, right = axis[lowest] - axis[before], axis[after] - axis[lowest]
    fall, rise = _at(curves, before) - bottom, _at(curves, after) - bottom
    # Vertex of the parabola through (-left, fall), (0, 0) and (right, rise).
    numerator, denominator = fall * right**2 - rise * left**2, 2 * (fall * right + rise * left)
    inside = (lowest > 0) & (lowest < last)
    offset = np.divide(numerator, denominator, out=np.zeros_like(bottom), where=inside & (denominator > 0))
    return np.where(inside, steps[lowest] * np.exp(offset), np.where(lowest == last, np.inf, 0.0))


# By definition: evaluated steps, curves of training and of test losses, and the threshold, to onsets.
ESTIMATORS: Mapping[str, Callable[[Array, Array, Array, float], Array]] = {
    "test_loss_minimum": lambda steps, train, test, threshold: minimum(steps, test),
    "loss_gap_absolute": lambda steps, train, test, threshold: crossing(steps, test - train, threshold),
    "loss_gap_relative": lambda steps, train, test, threshold: crossing(steps, test / train - 1, threshold),
}


def resampled(key: str, totals: Array, sizes: NDArray[Any], resamples: int) -> Array:
    """A mean curve and its bootstrap replicates, every unit resampled jointly over the steps.

    Args:
        key: seeds the draws; the same key and numbers of units and resamples draw the same.
        totals: sum of the values of each unit at each evaluation, shape (units, evaluations).
        sizes: how many values each sum has, shape (units,).
        resamples: number of replicates.

    Returns:
        Shape (1 + resamples, evaluations): the mean curve, then its replicates.
    """
    units = len(totals)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
    draws = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    weights = np.vstack([np.ones(units), draws])
    curves: Array = (weights @ totals) / (weights @ sizes)[:, None]
    return curves


def with_interval(seen: Array, estimate: float, replicates: Array, confidence: float) -> Onset:
    """An onset and its percentile bootstrap interval.

    Replicates that are 0 or infinite count as before and beyond every step, so where too
    many of them are, that end of the interval is 0 or infinite. The ends are the order
    statistics just outside the percentiles, and the interval is widened to hold the
    estimate where it does not.

    Args:
        seen: the steps at which the run could show an onset, increasing, as of `confirmable`; may be empty.
        estimate: the onset of the run, 0 and infinity as everywhere in this module.
        replicates: the onsets of the bootstrap replicates, in any order, at least one.
        confidence: level of the interval, between 0 and 1.
    """
    if not len(seen):
        return NEVER_EVALUATED
    low, high = percentile_ends(replicates, confidence)
    step = seen[0] if estimate == 0 else seen[-1] if estimate == math.inf else estimate
    return Onset(
        step=float(step),
        censored=bool(estimate == math.inf),
        left_censored=bool(estimate == 0),
        ci_low=float(min(low, estimate, step)),
        ci_high=float(max(high, estimate, step)),
    )


def percentile_ends(replicates: Array, confidence: float) -> tuple[float, float]:
    """The order statistics just outside the percentiles of replicates, shape (resamples,); infinite ones count."""
    ranked = np.sort(replicates)
    outside = math.floor((1 - confidence) / 2 * (len(ranked) - 1) + 1e-9)  # the slack absorbs rounding
    return float(ranked[outside]), float(ranked[len(ranked) - 1 - outside])


def loss_onsets(
    run_id: str, losses: pd.DataFrame, *, thresholds: Mapping[str, float], resamples: int, confidence: float
) -> dict[str, Onset]:
    """The onsets of one run that its losses define.

    The two splits are resampled independently. On the test side the images are a sample,
    so whole images are resampled, with all their noisy versions; on the training side the
    images are all there are and only their times and noises are a sample, so noisy images
    are. A curve ends before its first evaluation with a non-finite loss.

    Args:
        run_id: seeds the bootstrap and names the run in errors.
        losses: its rows of the table ``losses``; may be empty.
        thresholds: by definition, of those that have one.
        resamples: bootstrap replicates.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        An onset for each of `ESTIMATORS`.

    Raises:
        UserError: an evaluation lacks a noisy image that another has.
    """
    items = pivot(run_id, losses, ["split", "index", "item"], "loss")
    finite = np.isfinite(items.to_numpy()).all(axis=0)
    items = items.loc[:, np.logical_and.accumulate(finite)]
    if items.empty:
        return dict.fromkeys(ESTIMATORS, NEVER_EVALUATED)
    steps = items.columns.to_numpy(dtype=np.float64)
    times = items.loc["train"]
    train = resampled(f"{run_id} train", times.to_numpy(), np.ones(len(times)), resamples)
    images = items.loc["test"].groupby(level="index")
    test = resampled(f"{run_id} test", images.sum().to_numpy(), images.size().to_numpy(), resamples)
    onsets = {name: of(steps, train, test, thresholds.get(name, math.nan)) for name, of in ESTIMATORS.items()}
    return {name: with_interval(confirmable(steps), of[0], of[1:], confidence) for name, of in onsets.items()}


def copy_onset(
    run_id: str,
    neighbours: pd.DataFrame,
    *,
    copy_threshold: float,
    share: float,
    resamples: int,
    confidence: float,
) -> Onset:
    """The onset of one run that its copies define.

    A sample is a copy when d1 / d2 < ``copy_threshold``; an exact copy of an image that the
    training set holds twice, 0 / 0, is one.

    Args:
        run_id, share, resamples, confidence: as of `share_onset`.
        neighbours: its rows of the table ``neighbours``; those against the training set
            are used. May be empty.
        copy_threshold: on d1 / d2.

    Raises:
        UserError: as `share_onset`.
    """
    samples = copies(neighbours, copy_threshold)
    return share_onset(run_id, samples, share=share, resamples=resamples, confidence=confidence)


def copies(neighbours: pd.DataFrame, copy_threshold: float) -> pd.DataFrame:
    """Samples as `share_onset` takes them, which hit where they are copies; arguments are those of `copy_onset`."""
    training = neighbours[neighbours["reference"] == "train"]
    return training.assign(hit=copied(training, copy_threshold))


def share_onset(run_id: str, samples: pd.DataFrame, *, share: float, resamples: int, confidence: float) -> Onset:
    """The onset of one run that is defined by the share of its samples of which something holds.

    Samples are resampled with their whole history, as a sample is drawn from the same latent at
    every step. The bootstrap knows no share but the ones it has seen: where it never holds of any
    sample, no replicate has one, and the interval says "later than the run" although a small
    share can hide among few samples (up to 3 / samples at 95 %, Clopper & Pearson).

    Args:
        run_id: seeds the bootstrap and names the run in errors.
        samples: columns ``step``, ``index`` of the sample, and ``hit``, whether it holds. May be empty.
        share: threshold on the share of hits.
        resamples: bootstrap replicates.
        confidence: level of the interval, between 0 and 1.

    Raises:
        UserError: an evaluation lacks a sample that another has.
    """
    steps, shares = share_curves(run_id, samples, resamples)
    if not len(steps):
        return NEVER_EVALUATED
    found = crossing(steps, shares, share)
    return with_interval(confirmable(steps), found[0], found[1:], confidence)


def share_curves(run_id: str, samples: pd.DataFrame, resamples: int) -> tuple[Array, Array]:
    """Evaluated steps, and the share of hits with its bootstrap replicates, shape (1 + resamples, evaluations).

    Arguments and errors are those of `share_onset`.
    """
    histories = pivot(run_id, samples, ["index"], "hit")
    steps = histories.columns.to_numpy(dtype=np.float64)
    if histories.empty:
        return np.empty(0), np.empty((1 + resamples, 0))
    return steps, resampled(f"{run_id} samples", histories.to_numpy(), np.ones(len(histories)), resamples)


def _at(curves: Array, positions: NDArray[np.intp]) -> Array:
    """The value of each curve at its own position."""
    return np.take_along_axis(curves, positions[..., None], axis=-1)[..., 0]


def pivot(run_id: str, rows: pd.DataFrame, unit: list[str], value: str) -> pd.DataFrame:
    """One row a unit, one column a step, in increasing order of both.

    Raises:
        UserError: a unit is missing at some step, or there twice.
    """
    cells = rows.set_index([*unit, "step"])[value].astype(np.float64)
    shape = len(rows[unit].drop_duplicates()), rows["step"].nunique()
    if cells.index.has_duplicates or len(cells) != math.prod(shape):
        raise UserError(f"run {run_id}: its evaluations hold different rows; accepted is each {unit[-1]} once a step")
    return cells.unstack("step")
