"""What a threshold is held against: by run and definition, the curve whose crossing is the onset, and its noise.

The onsets are those of `onset`, `pair_onsets` and `departure`, of the mean curves alone: an onset as a function of its
threshold needs no bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..study.onsets import LOSS_DEFINITIONS, ONSETS
from .departure import departures
from .noise import gap_noise, resampled_noise, share_noise
from .onset import ESTIMATORS, confirmable, crossing, pivot, resampled, with_interval
from .pair_onsets import distance_ratios, leans

Array = NDArray[np.float64]

# Whose curves are metrics
SHARES = tuple(name for name, definition in ONSETS.items() if definition.of in ("copies", "similarity"))


@dataclass(frozen=True)
class ThresholdCurve:
    """A run's onset under one definition, as a function of the threshold.

    Attributes:
        steps: at which the run can show the onset, as of `onset.confirmable`, increasing; may be empty.
        onset: threshold to onset, shape (1,), 0 and infinite as of `onset.crossing`.
        noise: the level that chance reaches, as of `noise`; NaN where it is not known.
    """

    steps: Array
    onset: Callable[[float], Array]
    noise: float

    def at(self, threshold: float) -> dict[str, Any]:
        """A row of the table ``onsets``, without run, definition and interval."""
        found = self.onset(threshold)
        onset = asdict(with_interval(self.steps, float(found[0]), found, 0.5))
        return {key: onset[key] for key in ("step", "censored", "left_censored")}


Curves = dict[str, ThresholdCurve]


def loss_curves(run_id: str, losses: pd.DataFrame, train_size: int, confidence: float) -> Curves:
    """Those of what one run's losses define, by definition; none of a run that was never evaluated.

    Args:
        run_id: seeds the draws of noise, and names the run in errors.
        losses: its rows of the table ``losses``; may be empty.
        train_size: images N of its training set.
        confidence: as of `noise.gap_noise`.

    Raises:
        UserError: as of `onset.pivot`.
    """
    rows = losses[losses["split"].isin(["train", "test"])]
    items = pivot(run_id, rows, ["split", "index", "item"], "loss")
    items = items.loc[:, np.logical_and.accumulate(np.isfinite(items.to_numpy()).all(axis=0))]
    if items.empty:
        return {}
    steps = items.columns.to_numpy(dtype=np.float64)
    train, test = (items.loc[split].to_numpy().mean(axis=0)[None] for split in ("train", "test"))
    learning = pd.DataFrame(items.loc["test"]).iloc[:, : int(test[0].argmin()) + 1]
    once = learning.groupby(level="index").head(1).droplevel("index")  # each held-out image
    times = rows.loc[rows["split"] == "test"].drop_duplicates("item").set_index("item")["time"]
    in_time = once.loc[times.reindex(once.index).sort_values(kind="stable").index]
    absolute, relative = gap_noise(run_id, in_time, train_size, confidence)
    noise = {"loss_gap_absolute": absolute, "loss_gap_relative": relative}
    return {
        name: ThresholdCurve(confirmable(steps), partial(ESTIMATORS[name], steps, train, test), noise.get(name, np.nan))
        for name in LOSS_DEFINITIONS
        if ONSETS[name].threshold
    }


def share_curves(metrics: pd.DataFrame, definition: str) -> Mapping[str, ThresholdCurve]:
    """Those of a share of copies, by run.

    Args:
        metrics: table ``metrics``.
        definition: of the onset, by the metric's own name.
    """
    rows = metrics[(metrics["metric"] == definition) & metrics["step"].notna()].sort_values("step")
    control = dict(list(rows[rows["reference"] == "control"].groupby("run_id")))
    curves = {}
    for run_id, own in rows[rows["reference"] == "train"].groupby("run_id", sort=False):
        steps, shares = (own[name].to_numpy(np.float64) for name in ("step", "value"))
        noise = share_noise(control.get(run_id, own.head(0)))
        curves[str(run_id)] = ThresholdCurve(confirmable(steps), partial(crossing, steps, shares[None]), noise)
    return curves


def lean_curve(run_id: str, paired: pd.DataFrame, resamples: int, confidence: float) -> Curves:
    """That of a run's lean, whose noise is around a half. Arguments are those of `pair_onsets.bias_onset`."""
    histories = pivot(run_id, leans(paired), ["index"], "lean")
    if histories.empty:
        return {}
    means = resampled(run_id, histories.to_numpy(), np.ones(len(histories)), resamples)
    return {"bias": _resampled_curve(histories.columns.to_numpy(np.float64), means, 0.5, confidence)}


def split_curve(run_id: str, paired: pd.DataFrame, resamples: int, confidence: float) -> Curves:
    """That of a run's ratio of distances, whose noise is around 1. Arguments are those of `pair_onsets.split_onset`."""
    steps, ratios = distance_ratios(run_id, paired, resamples)
    return {"split": _resampled_curve(steps, ratios, 1.0, confidence)} if len(steps) else {}


PAIR_CURVES = {"bias": lean_curve, "split": split_curve}


def _resampled_curve(steps: Array, curves: Array, chance: float, confidence: float) -> ThresholdCurve:
    onset = partial(crossing, steps, curves[:1])
    return ThresholdCurve(confirmable(steps), onset, resampled_noise(curves, chance, confidence))


def departure_curve(name: str, steps: Array, test: Array, surrogate: Array, confidence: float) -> Curves:
    """That of a departure, followed up to the lowest test loss. Arguments are those of `departure.departure`."""
    if not len(steps):
        return {}
    followed = slice(int(test[0].argmin()) + 1)
    noise = resampled_noise((surrogate / test - 1)[:, followed], 0.0, confidence)
    onset = partial(departures, steps, test[:1], surrogate[:1])
    return {name: ThresholdCurve(confirmable(steps)[followed], onset, noise)}
