"""When a spike is learnt: weak-recovery times, and how they grow with the dimension.

What a recovery is stands in `tracking`: the overlap stays above a threshold. How the time n grows with d
is fitted in three ways:

- ``power``: n = A d^k for the median of the replicas;
- ``power_log``: n = A d^k (log d + c) for the median. Theory says d log d for information exponents up to 2
  (Ben Arous, Gheissari & Jagannath 2021, arXiv 2003.10409), so that a power law over a finite range of d has
  an exponent above 1; c is what is left of the threshold, of the start and of the noise;
- ``lognormal``: n = A d^k by `scaling.exponent`, in which censored replicas enter with the probability of a later
  recovery. It takes the times for log-normal, which they are not where d is so small that some replicas start
  above the threshold: these drag its mean down at small d, and its exponent up. Medians do not mind.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import CensoredData, binom, ecdf

from ...analysis.onset import percentile_ends
from ...analysis.scaling import NOT_ESTIMABLE, Exponent, exponent
from ...tables.parquet import read_table, write_table
from .hermite import expansion, sample_exponent
from .learning import Unit
from .model import MixedCumulantModel

Array = NDArray[np.float64]

# Values of log(log d + c) at the smallest d between which c is sought, and how many: at the upper
# end log d + c is a constant, and the law a pure power law.
OFFSETS = np.exp(np.linspace(-3, 5, 2000))

_ROUNDING = 1e-9  # of a product of shares


def medians(overlaps: Array, confidence: float) -> dict[str, Array]:
    """Median over replicas with its interval, and the 10th and 90th percentiles.

    The interval's ends are the order statistics whose ranks bound the binomial count of replicas
    below the median: it makes no assumption about the distribution.

    Args:
        overlaps: shape (..., replicas).
        confidence: level of the interval, between 0 and 1.

    Returns:
        ``median``, ``ci_low``, ``ci_high``, ``low`` and ``high``, each of shape (...).
    """
    ranked = np.sort(overlaps, axis=-1)
    replicas = overlaps.shape[-1]
    outside = max(int(binom.ppf((1 - confidence) / 2, replicas, 0.5)) - 1, 0)
    low, high = np.quantile(ranked, [0.1, 0.9], axis=-1)
    return {
        "median": np.median(ranked, axis=-1),
        "ci_low": ranked[..., outside],
        "ci_high": ranked[..., replicas - 1 - outside],
        "low": low,
        "high": high,
    }


def recovery_time(samples: Array, censored: NDArray[np.bool_], confidence: float) -> dict[str, float]:
    """The median time by Kaplan & Meier, with its interval; infinite where fewer than half recovered.

    The interval is that of Brookmeyer & Crowley 1982: all times at which the log-log interval of the share that has
    not recovered holds one half.

    Args:
        samples: steps to recovery, or to the end where censored, shape (replicas,).
        censored: shape (replicas,).
        confidence: level of the interval, between 0 and 1.

    Returns:
        ``median``, ``ci_low`` and ``ci_high``.
    """
    last = float(samples.max())
    if censored.all():
        return {"median": math.inf, "ci_low": last, "ci_high": math.inf}
    left = ecdf(CensoredData(uncensored=samples[~censored], right=samples[censored])).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an interval is not defined where all or none are left
        ends = left.confidence_interval(confidence, method="log-log")
    low, middle, high = (_half(curve.quantiles, curve.probabilities) for curve in (ends.low, left, ends.high))
    # Where the curve never comes so low, the last step is all that bounds the median
    return {"median": middle, "ci_low": min(low, last), "ci_high": high}


def _half(times: Array, shares: Array) -> float:
    """The first time at which a falling share is at most one half; infinite where it never is."""
    below = np.flatnonzero(shares <= 0.5 + _ROUNDING)
    return float(times[below[0]]) if len(below) else math.inf


def lognormal_law(recoveries: pd.DataFrame, confidence: float) -> Exponent:
    """k in n ∝ d^k, by `scaling.exponent`.

    Args:
        recoveries: columns ``dimension``, ``samples`` and ``censored``, one spike of one experiment.
        confidence: level of the interval, between 0 and 1.
    """
    none = np.zeros(len(recoveries), bool)
    return exponent(recoveries["dimension"], recoveries["samples"], recoveries["censored"], none, none, confidence)


def median_law(recoveries: pd.DataFrame, logarithm: bool, key: str, resamples: int, confidence: float) -> Exponent:
    """k in n = A d^k, or n = A d^k (log d + c), fitted by least squares to the logarithms of the median times.

    The interval is that of the bootstrap, replicas resampled within each dimension. A replicate in which fewer than
    half recovered at some dimension knows of that median that it is later than the last step. So it knows of k one
    bound only, which is what the interval counts: at dimensions above the mean the lower one, below it the upper one.
    To leave such replicates out would make the interval too narrow, and too low.

    Args:
        recoveries: as for `lognormal_law`.
        logarithm: whether the law has the factor log d + c.
        key: seeds the bootstrap.
        resamples: bootstrap replicates.
        confidence: level of the interval, between 0 and 1.

    Returns:
        Not estimable where there are not more dimensions than parameters, or where fewer than half
        of some dimension's replicas recovered; an end of the interval that replicates do not bound is infinite.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
    source = np.random.default_rng(seed)
    dimensions, columns, last = [], [], []
    for dimension, rows in recoveries.groupby("dimension"):
        times = np.where(rows["censored"], np.inf, rows["samples"].to_numpy(np.float64))
        drawn = source.integers(len(times), size=(resamples, len(times)))
        # The lower of the two middle times, so that one that is censored stands for no number
        columns.append(np.quantile(np.vstack([times, times[drawn]]), 0.5, axis=1, method="lower"))
        dimensions.append(float(str(dimension)))
        last.append(float(rows["samples"].max()))
    middle = np.stack(columns, axis=1)
    if len(dimensions) < (4 if logarithm else 3) or not np.isfinite(middle[0]).all():
        return NOT_ESTIMABLE
    later, x = np.isinf(middle), np.log(np.array(dimensions))
    y = np.log(np.where(later, last, middle))
    slopes = _fit_logarithmic(x, y) if logarithm else y @ np.linalg.pinv(_line(x))[1]
    lowest = np.where(later[:, x < x.mean()].any(axis=1), -np.inf, slopes)[1:]
    highest = np.where(later[:, x > x.mean()].any(axis=1), np.inf, slopes)[1:]
    low, high = percentile_ends(lowest, confidence)[0], percentile_ends(highest, confidence)[1]
    return Exponent(float(slopes[0]), float(min(low, slopes[0])), float(max(high, slopes[0])))


def _line(x: Array) -> Array:
    """Columns 1 and x."""
    return np.column_stack([np.ones_like(x), x])


def _fit_logarithmic(x: Array, y: Array) -> Array:
    """k in y = a + k x + log(x + c), by least squares over a, k and c.

    Args:
        x: logarithms of the dimensions, shape (dimensions,).
        y: logarithms of the times, shape (fits, dimensions).

    Returns:
        Shape (fits,).
    """
    curves = np.log(x - x.min() + OFFSETS[:, None])
    design = _line(x)
    inverse = np.linalg.pinv(design)
    residual = np.eye(len(x)) - design @ inverse
    # |(y - curve) less its line|² for every fit and offset
    left, right = y @ residual, curves @ residual
    squares = (left**2).sum(1)[:, None] - 2 * left @ right.T + (right**2).sum(1)
    best = curves[squares.argmin(axis=1)]
    slopes: Array = (y - best) @ inverse[1]
    return slopes


def exponents(
    recoveries: pd.DataFrame, predicted: Mapping[tuple[str, str], float], resamples: int, confidence: float
) -> pd.DataFrame:
    """The exponents of every experiment's spikes.

    Args:
        recoveries: table ``recoveries``.
        predicted: (experiment, spike) to the exponent that theory predicts.
        resamples: bootstrap replicates of the laws of medians.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Table ``recovery_exponents``: laws ``power`` and ``lognormal`` for all, ``power_log`` where 1 is predicted.
    """
    rows = []
    for (experiment, spike), group in recoveries.groupby(["experiment", "spike"], sort=False):
        expected = predicted[str(experiment), str(spike)]
        key = f"{experiment} {spike}"
        fits = {"power": median_law(group, False, key, resamples, confidence)}
        if expected == 1:
            fits["power_log"] = median_law(group, True, key, resamples, confidence)
        fits["lognormal"] = lognormal_law(group, confidence)
        counts = {
            "dimensions": group["dimension"].nunique(),
            "replicas": len(group),
            "censored_replicas": int(group["censored"].sum()),
        }
        names = {"experiment": experiment, "spike": spike}
        rows += [{**names, "law": law, **vars(fit), "predicted": expected, **counts} for law, fit in fits.items()]
    return pd.DataFrame(rows)


def unit_recovery(settings: Mapping[str, Any], learnt: Path, output: Path) -> None:
    """Write ``overlaps``, ``recoveries``, ``recovery_times`` and ``recovery_exponents`` of a study.

    Args:
        settings: ``experiments``, each with ``name``, ``model``, ``unit`` and ``jobs``, dimension to job
            path; ``bootstrap`` and ``confidence``.
        learnt: folder of what `learn_unit` wrote, one folder per job path.
        output: folder that receives the tables.
    """
    overlaps, recoveries = [], []
    predicted: dict[tuple[str, str], float] = {}
    for experiment in settings["experiments"]:
        name, model, unit = experiment["name"], MixedCumulantModel(**experiment["model"]), Unit.of(experiment["unit"])
        terms = expansion(model, unit.activation, unit.noise_levels)
        present = model.spikes
        predicted |= {(name, spike): sample_exponent(terms, spike) for spike in present}
        for dimension, job in sorted(experiment["jobs"].items(), key=lambda item: int(item[0])):
            place = {"experiment": name, "dimension": int(dimension)}
            paths = read_table(learnt / job / "unit_paths.parquet", "unit_paths")
            overlaps += [_overlaps(paths, spike, settings["confidence"]).assign(**place) for spike in present]
            times = read_table(learnt / job / "unit_recoveries.parquet", "unit_recoveries")
            recoveries.append(times[times["spike"].isin(present)].assign(**place))
    table = pd.concat(recoveries, ignore_index=True)
    write_table(output / "overlaps.parquet", "overlaps", pd.concat(overlaps, ignore_index=True))
    write_table(output / "recoveries.parquet", "recoveries", table)
    write_table(output / "recovery_times.parquet", "recovery_times", _recovery_times(table, settings["confidence"]))
    fits = exponents(table, predicted, settings["bootstrap"], settings["confidence"])
    write_table(output / "recovery_exponents.parquet", "recovery_exponents", fits)


def _overlaps(paths: pd.DataFrame, spike: str, confidence: float) -> pd.DataFrame:
    """Medians over replicas of one spike's |overlap| at every kept step."""
    wide = paths.pivot(index="samples", columns="replica", values=f"overlap_{spike}").abs()
    columns = medians(wide.to_numpy(np.float64), confidence)
    return pd.DataFrame({"spike": spike, "samples": wide.index, **columns})


def _recovery_times(recoveries: pd.DataFrame, confidence: float) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    keys: Sequence[str] = ["experiment", "dimension", "spike"]
    for names, group in recoveries.groupby(list(keys), sort=False):
        censored = group["censored"].to_numpy(bool)
        time = recovery_time(group["samples"].to_numpy(np.float64), censored, confidence)
        counts = {"replicas": len(group), "censored_replicas": int(censored.sum())}
        rows.append({**dict(zip(keys, names, strict=True)), **time, **counts})
    return pd.DataFrame(rows)
