"""What figures call things: axes, numbers, distances and definitions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..study.onsets import ONSETS

AXIS_LABELS = {
    "train_size": "training images $N$",
    "base_channels": "parameters $P$",
    "parameters": "parameters $P$",
    "batch_size": "batch size $B$",
    "learning_rate": r"learning rate $\eta$",
}
TIME_LABELS = {"normalised_step": "normalised step $T$", "step": "step"}
MINUS = "\N{MINUS SIGN}"


def held_fixed(runs: pd.DataFrame, axis: str | None) -> str:
    """The values that the runs along an axis share, and how many seeds there are: what a figure must say.

    Args:
        runs: rows of the runs table, equal on every axis but ``axis`` and the seed.
        axis: the swept axis, or None where nothing is swept.
    """
    if runs.empty:
        return ""
    run = runs.iloc[0]
    values = {
        "train_size": f"$N$ = {run['train_size']}",
        "base_channels": f"$P$ = {count_label(run['parameters'])}",
        "batch_size": f"$B$ = {run['batch_size']}",
        "learning_rate": rf"$\eta$ = {number_label(run['learning_rate'])}",
    }
    seeds = sorted(runs["seed"].unique())
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"up to {len(seeds)} seeds per value"
    return ",  ".join([*(text for name, text in values.items() if name != axis), named])


def count_label(count: float) -> str:
    """A count in three significant digits: 512, 64k, 2.93M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:
            return f"{float(f'{count / size:.3g}'):g}{unit}"
    return f"{count:g}"


def number_label(value: float) -> str:
    """A number as a paper prints it: 0.05, 2000, $10^{-4}$, $3\\times10^{-4}$."""
    return f"{value:g}" if value == 0 or 1e-2 <= abs(value) < 1e4 else power_label(value)


def power_label(value: float) -> str:
    """A number other than 0 as a mantissa and a power of ten; a mantissa of 1 is left out."""
    digits, power = f"{value:.2e}".split("e")
    mantissa = f"{float(digits):g}"
    factor = "" if mantissa == "1" else rf"{mantissa}\times"
    return f"${factor}10^{{{int(power)}}}$"


def exponent_label(value: float) -> str:
    """An exponent in two decimals, or three digits, with a proper minus; an unknown one as a question mark."""
    if np.isnan(value):
        return "?"
    digits = "∞" if np.isinf(value) else (f"{abs(value):.2f}" if abs(value) < 10 else f"{abs(value):.3g}")
    return f"{MINUS}{digits}" if value < 0 and digits != "0.00" else digits


def value_labels(axis: str, runs: pd.DataFrame) -> dict[float, str]:
    """How each value of an axis is written; a model size is written as its parameters."""
    values = sorted(runs[axis].unique())
    if axis == "base_channels":
        parameters = runs.groupby("base_channels")["parameters"].first()
        return {value: count_label(float(parameters[value])) for value in values}
    if axis == "learning_rate":
        return {value: number_label(value) for value in values}
    return {value: f"{value:g}" for value in values}


def distance_label(metric: str, space: str) -> str:
    """A distance and the space in which it is taken; in Inception space the field has names of its own."""
    match metric, space:
        case "frechet", "inception":
            return "FID"
        case "kid", "inception":
            return "KID"
    name = {"sliced_wasserstein": "sliced Wasserstein", "frechet": "Fréchet distance", "kid": "kernel distance"}[metric]
    return f"{name} ({space} space)"


def definition_label(definition: str, thresholds: Mapping[str, float]) -> str:
    """A definition of the onset in words, with its threshold."""
    known = ONSETS.get(definition)
    return known.label(thresholds) if known else definition
