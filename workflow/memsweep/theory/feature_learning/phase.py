"""The phase diagram: the ratio of signal to noise in trained weights, over n and SNR.

Han et al. 2025 (arXiv 2412.01021) predict a ratio of Θ(n · SNR²) for diffusion, and for
classification a jump from noise to signal. What is fitted to log ratios, over all cells of the
grid: a power law in n · SNR², power laws in n and in SNR² apart, where the ratio crosses 1, and the
slope there, within a factor of `WINDOW` in n · SNR² around it. Intervals are percentiles of a bootstrap
over the cells, so that they hold how badly a law fits as well as how much seeds scatter. That of the
slope at the crossing, of few cells, is Student's t with the errors of MacKinnon & White 1985 (HC3). The
largest slope of several windows would say how steep a jump is more sharply, but is high by their noise,
and no bootstrap of a maximum covers it.

A value agrees with a predicted exponent where its whole interval lies within `MARGIN` of it, and disagrees
where all of it lies beyond; else the cells leave it undecided. An interval that merely excludes the
prediction, being narrow, does not disagree.

`balanced_ratio` is what neurons that agree on the data imply for the denoiser, with no randomness.
Where the noise that a neuron lets through exceeds the signal, β² ‖w‖² ≫ α² ⟨w, x⟩², the loss stops
the growth of ‖w‖ and of nothing else, and the ratio stays at that of the first growth, n · SNR² / 2.
Where it does not, at small times t and patches far from 0, each projection saturates by itself, at
nearly the same value for any patch, and the ratio stays near 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import t as student
from sklearn.isotonic import IsotonicRegression

from .growth import MEASURES, mean_interval
from .probes import percentile_interval
from .two_patch_denoiser import noise_levels

Array = NDArray[np.float64]

LAWS = ("slope", "slope_n", "slope_snr2", "crossing", "prefactor")
QUANTITIES = ("slope", "slope_n", "slope_snr2", "slope_at_crossing", "crossing", "prefactor")
WINDOW = 4.0
"""Factor in n · SNR² around the crossing within which the slope there is taken."""
MARGIN = 0.2
"""How far from a predicted exponent others count as equal to it."""

_ROUNDING = 1e-9

_CASE = ["objective", "time"]
_CELL = ["train_size", "signal_norm", "n_snr2"]


def phase(stationary: pd.DataFrame, settings: Mapping[str, Any], confidence: float) -> pd.DataFrame:
    """Table ``phase``: the ratio in every cell of the grid, the geometric mean over seeds with its interval.

    Args:
        stationary: table ``stationary``.
        settings: the model's ``dimension``, ``neurons`` and ``noise``.
        confidence: level of the t intervals of the mean logarithm, between 0 and 1.
    """
    rows = []
    for case, cell in stationary.groupby([*_CASE, *_CELL], sort=False):
        point = dict(zip([*_CASE, *_CELL], case, strict=True))
        for measure in MEASURES:
            logs = np.log((cell[f"signal_{measure}"] / cell[f"noise_{measure}"]).to_numpy(float))
            mean, low, high = mean_interval(logs, confidence)
            rows.append(
                {
                    **point,
                    "measure": measure,
                    "ratio": math.exp(mean),
                    "ci_low": math.exp(low),
                    "ci_high": math.exp(high),
                    "balanced": _balanced(point, settings) if measure == "mean" else math.nan,
                    "seeds": len(cell),
                    "unfinished": int((~cell["finished"]).sum()),
                }
            )
    return pd.DataFrame(rows)


def _balanced(point: Mapping[str, Any], settings: Mapping[str, Any]) -> float:
    if point["objective"] == "classification":
        return math.nan
    model = {name: settings[name] for name in ("dimension", "neurons", "noise")}
    return balanced_ratio(point["time"], point["train_size"], point["signal_norm"], **model)


def balanced_ratio(
    time: float, train_size: int, signal_norm: float, *, dimension: int, neurons: int, noise: float
) -> float:
    """The stationary ratio of the mean alignments where neurons differ only in directions without data.

    Every neuron is w_r = γ (μ₊ + μ₋) / ‖μ‖² + ρ Σ_i ξ_i / σ²d + o_r with noise patches orthogonal and
    of norm σ√d, and o_r orthogonal to them and to one another, as in many dimensions they are from
    the start. So G_rs = c = 2 γ² / ‖μ‖² + n ρ² / σ²d and G_rr = g = c + ‖o‖², and with S_k = g^k +
    (m - 1) c^k the loss of `denoiser.expected_loss` is

        Σ_a ½ (q² S_1 + 2 β⁴ S_3 + 4 β² a² S_2) - 2 β √m a g,    q = a² + β² g,

    over a = αγ and a = αρ. The ratio is γ / ρ at the minimum over γ, ρ, ‖o‖ > 0.
    """
    alpha, beta = noise_levels(time)

    def loss(logs: Array) -> float:
        gamma, rho, own = np.exp(logs)
        common = 2 * gamma**2 / signal_norm**2 + train_size * rho**2 / (noise**2 * dimension)
        g = common + own
        first, second, third = (g**power + (neurons - 1) * common**power for power in (1, 2, 3))
        total = 0.0
        for a in (alpha * gamma, alpha * rho):
            q = a**2 + beta**2 * g
            total += (q**2 * first + 2 * beta**4 * third + 4 * beta**2 * a**2 * second) / 2
            total -= 2 * beta * math.sqrt(neurons) * a * g
        return float(total)

    # On the way of the first growth, at whatever size the loss is lowest
    ratio = train_size * signal_norm**2 / (noise**2 * dimension) / 2
    sizes = np.linspace(-8, 3, 23)
    starts = [
        np.array([size + math.log(ratio) / 2, size - math.log(ratio) / 2, own]) for size in sizes for own in sizes
    ]
    options = {"xatol": 1e-6, "fatol": 0.0, "maxiter": 2000}
    found = minimize(loss, min(starts, key=loss), method="Nelder-Mead", options=options)
    return float(np.exp(found.x[0] - found.x[1]))


def phase_fits(cells: pd.DataFrame, confidence: float, resamples: int) -> pd.DataFrame:
    """Table ``phase_fits``: the laws of the module's docstring, fitted to the cells of ``phase``.

    Args:
        cells: table ``phase``.
        confidence: level of the intervals, between 0 and 1.
        resamples: bootstrap resamples of the cells.
    """
    rows = []
    for case, group in cells.groupby([*_CASE, "measure"], sort=False):
        point = dict(zip([*_CASE, "measure"], case, strict=True))
        table = group[["train_size", "n_snr2", "ratio"]].to_numpy(float)
        logs = np.log(np.column_stack([table[:, 0], table[:, 1] / table[:, 0], table[:, 2]]))
        source = np.random.default_rng(int.from_bytes(hashlib.sha256(repr(case).encode()).digest()[:8], "big"))
        draws = source.integers(0, len(logs), (resamples, len(logs)))
        replicates = np.array([laws(logs[draw]) for draw in draws])
        ends = (percentile_interval(column, confidence) for column in replicates.T)
        found = {name: (value, *end, len(logs)) for name, value, end in zip(LAWS, laws(logs), ends, strict=True)}
        found["slope_at_crossing"] = slope_at_crossing(logs, confidence)
        rows += [_row(point, quantity, *found[quantity]) for quantity in QUANTITIES]
    return pd.DataFrame(rows)


def _row(point: Mapping[str, Any], quantity: str, value: float, low: float, high: float, cells: int) -> dict[str, Any]:
    predicted = _predicted(point, quantity)
    agrees = agreement(low, high, predicted) if quantity.startswith("slope") else None
    found = {"value": value, "ci_low": low, "ci_high": high, "predicted": predicted, "agrees": agrees}
    return {**point, "quantity": quantity, **found, "cells": cells}


def agreement(low: float, high: float, predicted: float) -> str | None:
    """Whether an interval lies within `MARGIN` of a predicted exponent: yes, no or undecided; None without one."""
    if not np.isfinite([low, high, predicted]).all():
        return None
    if predicted - MARGIN <= low and high <= predicted + MARGIN:
        return "yes"
    return "no" if high < predicted - MARGIN or low > predicted + MARGIN else "undecided"


def _predicted(point: Mapping[str, Any], quantity: str) -> float:
    """The prediction for diffusion; 1/2 n · SNR² is that of the mean alignments."""
    if point["objective"] == "classification":
        return math.nan
    if quantity == "prefactor":
        return 0.5 if point["measure"] == "mean" else math.nan
    return math.nan if quantity == "crossing" else 1.0


def laws(logs: Array) -> tuple[float, ...]:
    """The `LAWS` of cells: columns log n, log SNR² and log ratio, shape (cells, 3).

    A slope is NaN where the cells do not vary along it, ``crossing`` where the ratio does not
    cross 1; ``prefactor`` is the geometric mean of ratio / (n · SNR²).
    """
    n, snr2, ratio = logs.T
    x = n + snr2
    apart = _least_squares(np.column_stack([n, snr2]), ratio)
    return (
        _least_squares(x[:, None], ratio)[0],
        *apart,
        _crossing(x, ratio),
        float(np.exp(np.mean(ratio - x))),
    )


def _least_squares(columns: Array, values: Array) -> list[float]:
    centred = columns - columns.mean(axis=0)
    if np.linalg.matrix_rank(centred) < columns.shape[1]:
        return [math.nan] * columns.shape[1]
    return [float(slope) for slope in np.linalg.lstsq(centred, values - values.mean())[0]]


def slope_at_crossing(logs: Array, confidence: float) -> tuple[float, float, float, int]:
    """The slope in n · SNR² within a factor of `WINDOW` around where the ratio crosses 1.

    The interval takes the window as given.

    Args:
        logs: as of `laws`.
        confidence: level of the interval, between 0 and 1.

    Returns:
        The slope, the ends of its interval, and the cells in the window; NaN where the ratio does not cross 1, or where
        fewer than four cells, or none over more than half of the window, are near.
    """
    x, ratio = logs[:, 0] + logs[:, 1], logs[:, 2]
    near = np.abs(x - math.log(_crossing(x, ratio))) <= math.log(WINDOW) / 2 + _ROUNDING
    x, ratio = x[near], ratio[near]
    cells = len(x)
    if cells < 4 or np.ptp(x) <= math.log(WINDOW) / 2:
        return math.nan, math.nan, math.nan, cells
    centred = x - x.mean()
    squares = float(centred @ centred)
    slope = float(centred @ ratio) / squares
    left = ratio - ratio.mean() - slope * centred
    leverage = 1 / cells + centred**2 / squares
    error = math.sqrt(float(np.sum((centred * left / (1 - leverage)) ** 2))) / squares
    margin = float(student.ppf((1 + confidence) / 2, cells - 2)) * error
    return slope, slope - margin, slope + margin, cells


def _crossing(x: Array, y: Array) -> float:
    """n · SNR² at which the ratio, as a function that only rises, crosses 1."""
    places = np.unique(x)
    rising = IsotonicRegression().fit(x, y).predict(places)
    above = np.flatnonzero(rising > 0)
    if len(above) == 0 or above[0] == 0:
        return math.nan
    high = above[0]
    share = -rising[high - 1] / (rising[high] - rising[high - 1])
    return float(np.exp(places[high - 1] + share * (places[high] - places[high - 1])))
