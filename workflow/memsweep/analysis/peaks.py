"""What a run is worth before it memorises, and how fast it memorises afterwards.

- **Peak fidelity**: the smallest sliced Wasserstein distance to the held-out images at any
  evaluation up to the onset τ_mem (Marion & Wu 2026, arXiv 2605.06077). The smaller, the better.
- **Memorisation rate**: the slope of the share of copies after τ_mem (ibid.), against the axis
  on which that paper draws it, log10(step): copies per sample and decade of steps. A slope
  against log step is the same against the normalised step, which only shifts that axis, so
  runs of different N, B and η are compared as they stand. A slope a step would not be: it
  falls as 1/τ_mem when the same curve is merely later, and says again what the onset says.

Both depend on the definition of the onset, and are given under each.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]

# The distances whose least value is the peak of fidelity, and the shares whose rise has a rate
PEAK_DISTANCES = ("sliced_wasserstein",)
SHARES = ("f_mem", "f_mem_calibrated", "sscd_score")

SATURATED = 0.9  # a share above this part of its maximum ends the rise
FEWEST = 3  # evaluations that a slope needs to say something

# An onset that falls on an evaluation may differ from it by rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Peak:
    """A peak fidelity or a memorisation rate; NaN where the run does not tell.

    Attributes:
        value: distance in the unit of its space, or share of copies per decade of steps.
        ci_low, ci_high: ends of its confidence interval.
        step: the evaluation of the smallest distance; none for a rate, which is of several.
    """

    value: float
    ci_low: float
    ci_high: float
    step: int | None = None


UNKNOWN = Peak(math.nan, math.nan, math.nan)


def peaks(onsets: pd.DataFrame, metrics: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Peak fidelity and memorisation rate of every run under every definition of the onset.

    A run that ended before its onset has no rate yet, and its peak fidelity is the best of the
    whole run, which a longer run could better: both are flagged as censored. Nothing is known of the
    fidelity before an onset that the first evaluation was too late for.

    Args:
        onsets: table ``onsets``.
        metrics: table ``metrics`` of the same runs.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``peaks``: in the order of ``onsets``, a row for each distance to the held-out
        images and each share of copies that the study measured, in each space.
    """
    at_steps = metrics[metrics["step"].notna() & np.isfinite(metrics["value"].to_numpy(np.float64))]
    distances = _by_kind(at_steps[at_steps["metric"].isin(PEAK_DISTANCES) & (at_steps["reference"] == "test")])
    shares = _by_kind(at_steps[at_steps["metric"].isin(SHARES) & (at_steps["reference"] == "train")])
    none = metrics.head(0)
    rows: list[dict[str, Any]] = []
    for onset in onsets.to_dict("records"):
        run_id, censored = onset["run_id"], onset["censored"]
        head = {"run_id": run_id, "definition": onset["definition"], "censored": censored}
        for (metric, space), runs in distances.items():
            until = math.inf if censored else 0.0 if onset["left_censored"] else onset["step"]
            peak = peak_fidelity(runs.get(run_id, none), until)
            rows.append({**head, "quantity": "peak_fidelity", "metric": metric, "space": space, **asdict(peak)})
        for (metric, space), runs in shares.items():
            rate = memorisation_rate(runs.get(run_id, none), math.inf if censored else onset["step"], confidence)
            rows.append({**head, "quantity": "memorisation_rate", "metric": metric, "space": space, **asdict(rate)})
    columns = ["run_id", "definition", "quantity", "metric", "space", "step", "value", "ci_low", "ci_high", "censored"]
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


def memorisation_rate(shares: pd.DataFrame, onset: float, confidence: float) -> Peak:
    """The slope of one run's share of copies after the onset, a decade of steps.

    The line is fitted by least squares from the first evaluation at or after the onset to the
    first that exceeds 0.9 of the maximum from there on, or to the end of the run, each
    evaluation weighted by the inverse of its binomial variance. Where fewer than three
    evaluations lie there, the rate is not known.

    The interval is for the noise of the generated images. A sample has the same latent at every
    step, so the shares of a run are not independent: mostly, a sample that is a copy stays one.
    The slope is a weighted sum of the shares; its variance is taken under both extremes, no
    dependence at all and copies that stay copies, and the larger is used. Independence alone
    would give an interval too narrow by a third or more for a window of eight evaluations.

    Args:
        shares: columns ``step``, ``value`` and ``generated`` (samples behind the value), in
            the order of the steps; values finite.
        onset: in steps, infinite where the run ended before it.
        confidence: level of the interval, between 0 and 1.
    """
    after = shares[shares["step"].to_numpy(np.float64) >= onset * (1 - ROUNDING)]
    share = after["value"].to_numpy(np.float64)
    rise = slice(0, _rise(share))
    share, samples = share[rise], after["generated"].to_numpy(np.float64)[rise]
    if len(share) < FEWEST:
        return UNKNOWN
    log_step = np.log10(after["step"].to_numpy(np.float64)[rise])
    # Two copies and two others are added (Agresti & Coull 1998): a share of 0 or 1 is not known exactly.
    smoothed = (share * samples + 2) / (samples + 4)
    weight = samples / (smoothed * (1 - smoothed))
    centred = log_step - np.average(log_step, weights=weight)
    slopes = weight * centred / np.sum(weight * centred**2)  # the rate is linear in the shares
    rate = float(slopes @ share)
    margin = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(_variance(slopes, smoothed, samples))
    return Peak(rate, rate - margin, rate + margin)


def _rise(share: Array) -> int:
    """How many of the shares make the rise: up to and with the first above 0.9 of the maximum."""
    above = np.flatnonzero(share > SATURATED * share.max(initial=0.0))
    return int(above[0]) + 1 if len(above) else len(share)


def _variance(slopes: Array, share: Array, samples: Array) -> float:
    """Variance of a weighted sum of shares of the same samples: independent, or nested; the larger.

    Nested events, of which the rarer implies the commoner, have the covariance
    min(p, q) (1 - max(p, q)), the largest that events with these probabilities can have.
    """
    independent = float(np.sum(slopes**2 * share * (1 - share) / samples))
    nested = np.minimum.outer(share, share) * (1 - np.maximum.outer(share, share))
    return max(independent, float(slopes @ (nested / np.sqrt(np.outer(samples, samples))) @ slopes))
