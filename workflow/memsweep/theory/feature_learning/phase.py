"""The phase diagram: the ratio of signal to noise in trained weights, over n and SNR.

Han et al. 2025 (arXiv 2412.01021) predict a ratio of Θ(n · SNR²) for diffusion, and for
classification a jump from noise to signal. What is fitted to log ratios, over all cells of the
grid: a power law in n · SNR², power laws in n and in SNR² apart, the steepest slope within any
factor of `WINDOW` in n · SNR², and where the ratio crosses 1. Intervals are percentiles of a
bootstrap over the cells, so that they hold how badly a law fits as well as how much seeds scatter.

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
from sklearn.isotonic import IsotonicRegression

from .growth import MEASURES, mean_interval
from .probes import percentile_interval
from .two_patch_denoiser import noise_levels

Array = NDArray[np.float64]

QUANTITIES = ("slope", "slope_n", "slope_snr2", "steepest_slope", "crossing", "prefactor")
WINDOW = 4.0
"""Factor in n · SNR² within which the steepest slope is taken."""

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
        ends = [percentile_interval(column, confidence) for column in replicates.T]
        for number, (quantity, value) in enumerate(zip(QUANTITIES, laws(logs), strict=True)):
            rows.append(
                {
                    **point,
                    "quantity": quantity,
                    "value": value,
                    "ci_low": ends[number][0],
                    "ci_high": ends[number][1],
                    "predicted": _predicted(point, quantity),
                    "cells": len(logs),
                }
            )
    return pd.DataFrame(rows)


def _predicted(point: Mapping[str, Any], quantity: str) -> float:
    """The prediction for diffusion; 1/2 n · SNR² is that of the mean alignments."""
    if point["objective"] == "classification":
        return math.nan
    if quantity == "prefactor":
        return 0.5 if point["measure"] == "mean" else math.nan
    return math.nan if quantity == "crossing" else 1.0


def laws(logs: Array) -> tuple[float, ...]:
    """The `QUANTITIES` of cells: columns log n, log SNR² and log ratio, shape (cells, 3).

    A slope is NaN where the cells do not vary along it, ``crossing`` where the ratio does not
    cross 1; ``prefactor`` is the geometric mean of ratio / (n · SNR²).
    """
    n, snr2, ratio = logs.T
    x = n + snr2
    apart = _least_squares(np.column_stack([n, snr2]), ratio)
    order = np.argsort(x)
    return (
        _least_squares(x[:, None], ratio)[0],
        *apart,
        _steepest(x[order], ratio[order]),
        _crossing(x, ratio),
        float(np.exp(np.mean(ratio - x))),
    )


def _least_squares(columns: Array, values: Array) -> list[float]:
    centred = columns - columns.mean(axis=0)
    if np.linalg.matrix_rank(centred) < columns.shape[1]:
        return [math.nan] * columns.shape[1]
    return [float(slope) for slope in np.linalg.lstsq(centred, values - values.mean())[0]]


def _steepest(x: Array, y: Array) -> float:
    """The steepest least squares line within a window; x increases."""
    slopes = []
    for first in range(len(x)):
        inside = slice(first, int(np.searchsorted(x, x[first] + math.log(WINDOW), side="right")))
        part = x[inside]
        # At least four cells, over more than half of the window
        if len(part) >= 4 and part[-1] - part[0] > math.log(WINDOW) / 2:
            slopes.append(_least_squares(part[:, None], y[inside])[0])
    return max(slopes, default=math.nan)


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
