"""Early growth of the alignments: linear in the iterations, or exponential?

While weights are small, the denoiser's gradient towards a patch x is proportional to ‖w‖² x, which
hardly changes, so alignments grow linearly; the classifier's is proportional to ⟨w, x⟩ x, so they
grow exponentially (Han et al. 2025, arXiv 2412.01021). The rates follow from the losses of
`denoiser` and `classifier` at small weights, with learning rate η and ‖w_r‖² = σ₀² d:

    denoiser, a step:     signal η α β m^{-1/2} ‖μ‖² σ₀² d,    noise 2 η α β m^{-1/2} σ² d / n · σ₀² d
    classifier, log of the factor a step:  signal log(1 + η ‖μ‖² / 2m),  noise log(1 + η σ² d / nm)

so that in either the signal is ahead by n · SNR² / 2, as a ratio or as an exponent.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.stats import t as student

from .two_patch_denoiser import noise_levels

Array = NDArray[np.float64]

FEATURES = ("signal", "noise")
MEASURES = ("max", "mean")
# Fewest recorded iterations that two laws of two parameters can be told apart by
_FEWEST = 5


def growth(alignments: pd.DataFrame, settings: Mapping[str, Any], confidence: float) -> pd.DataFrame:
    """Table ``growth``: both laws fitted to the early growth of each alignment, and which one fits.

    The largest of many alignments that grow linearly at slightly different rates is a convex
    curve, so that the mean is the better witness of the law.

    Args:
        alignments: table ``alignments``.
        settings: ``growth_factor``; the model's ``dimension``, ``neurons``, ``noise`` and
            ``initialisation``; ``learning_rates`` by objective.
        confidence: level of the t intervals over seeds, between 0 and 1.
    """
    keys = ["objective", "time", "train_size", "signal_norm", "n_snr2"]
    rows = []
    for case, runs in alignments.groupby(keys, sort=False):
        point = dict(zip(keys, case, strict=True))
        seeds = [run.sort_values("iteration") for _, run in runs.groupby("seed")]
        for feature, measure in itertools.product(FEATURES, MEASURES):
            found = (_fits(run, feature, measure, settings["growth_factor"]) for run in seeds)
            fits = [fit for fit in found if fit is not None]
            expected = predicted(point, feature, settings)
            for quantity in ("linear_rate", "exponential_rate", "log_ratio"):
                mean, low, high = mean_interval(np.array([fit[quantity] for fit in fits]), confidence)
                rows.append(
                    {
                        **point,
                        "feature": feature,
                        "measure": measure,
                        "quantity": quantity,
                        "value": mean,
                        "ci_low": low,
                        "ci_high": high,
                        "predicted": expected.get(quantity, math.nan),
                        "seeds": len(fits),
                    }
                )
    return pd.DataFrame(rows)


def predicted(point: Mapping[str, Any], feature: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """The rate that the loss at small weights implies, by the quantity it is a value of."""
    rate = settings["learning_rates"][point["objective"]]
    if feature == "signal":
        strength = point["signal_norm"] ** 2 / 2
    else:
        strength = settings["noise"] ** 2 * settings["dimension"] / point["train_size"]
    if point["objective"] == "classification":
        return {"exponential_rate": math.log1p(rate * strength / settings["neurons"])}
    alpha, beta = noise_levels(point["time"])
    norm = settings["initialisation"] ** 2 * settings["dimension"]
    return {"linear_rate": 2 * rate * alpha * beta / math.sqrt(settings["neurons"]) * strength * norm}


def _fits(run: pd.DataFrame, feature: str, measure: str, factor: float) -> dict[str, float] | None:
    """Both laws from the start to the growth of the largest alignment by ``factor``, or to half of its maximum."""
    steps, largest = run["iteration"].to_numpy(float), run[f"{feature}_max"].to_numpy(float)
    beyond = np.flatnonzero(largest > min(factor * largest[0], largest.max() / 2))
    count = int(beyond[0]) if len(beyond) else len(largest)
    if count < _FEWEST:
        return None
    return compare(steps[:count], run[f"{feature}_{measure}"].to_numpy(float)[:count])


def compare(steps: Array, values: Array) -> dict[str, float] | None:
    """Least squares fits of a + b·k and of A·exp(c·k), two parameters each.

    Returns:
        ``linear_rate`` b; ``exponential_rate`` c; ``log_ratio``: log10 of the exponential's
        residual sum of squares over the line's, above 0 where the line fits better. None where
        the exponential's parameters are not found.
    """
    scale = np.abs(values).max()
    y = values / scale
    slope, intercept = np.polyfit(steps, y, 1)
    # From the exponential through the logarithms of what is not close to 0
    start = np.polyfit(steps, np.log(np.maximum(y, 1e-2)), 1)
    try:
        (amplitude, rate), _ = curve_fit(
            lambda k, a, c: a * np.exp(np.minimum(c * k, 50)), steps, y, p0=(math.exp(start[1]), start[0]), maxfev=5000
        )
    except RuntimeError:  # it did not converge
        return None
    line = np.sum((y - intercept - slope * steps) ** 2)
    exponential = np.sum((y - amplitude * np.exp(rate * steps)) ** 2)
    rounding = 1e-24 * len(y)
    ratio = math.log10((exponential + rounding) / (line + rounding))
    return {"linear_rate": float(slope * scale), "exponential_rate": float(rate), "log_ratio": ratio}


def mean_interval(values: Array, confidence: float) -> tuple[float, float, float]:
    """Mean and Student's t interval; unbounded for one value, all NaN for none."""
    if len(values) == 0:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, -math.inf, math.inf
    margin = student.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return mean, mean - float(margin), mean + float(margin)
