"""What figures call things: axes, numbers, distances and definitions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..study.axes import Axis, text
from ..study.onsets import ONSETS

TIME_LABELS = {"normalised_step": "normalised step $T$", "step": "step"}
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def axis_label(axis: Axis) -> str:
    """What an axis is called, with its letter where it has one."""
    return f"{axis.title} ${axis.symbol}$" if axis.symbol else axis.title


def axis_name(axis: Axis) -> str:
    """The letter of an axis, or what it is called where it has none."""
    return f"${axis.symbol}$" if axis.symbol else axis.title


def held_fixed(runs: pd.DataFrame, axes: Sequence[Axis], axis: Axis | None, width: int = 1000) -> str:
    """The values that the runs along an axis share, and how many repetitions there are: what a figure must say.

    Args:
        runs: rows of the runs table, equal on every axis but ``axis`` and those of repetitions.
        axes: all of the grid.
        axis: the swept axis, or None where nothing is swept.
        width: of a line, in letters.
    """
    if runs.empty:
        return ""
    shared = [_shared(runs, other) for other in axes if other != axis and not other.repeats]
    repeated = [_repetitions(runs[other.column], other) for other in axes if other.repeats]
    return lines([*shared, *repeated], width)


def _shared(runs: pd.DataFrame, axis: Axis) -> str:
    """The value of an axis on which these runs are equal."""
    if runs[axis.coordinate].nunique() > 1:  # a model size whose parameters differ with another axis of the network
        return f"{axis.column.replace('_', ' ')} = {runs[axis.column].iloc[0]}"
    (label,) = value_labels(axis, runs).values()
    return f"{axis_name(axis)} = {label}"


def _repetitions(values: pd.Series[int], axis: Axis) -> str:
    """Which seed, or how many of them."""
    count = values.nunique()
    return f"{axis.title} {values.iloc[0]}" if count == 1 else f"up to {count} {axis.title}s per value"


def lines(parts: Sequence[str], width: int) -> str:
    """Parts one after another, in lines of at most so many letters where that can be."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]},  {part}"
        if letters(longer) <= width:
            lines[-1] = longer
        else:
            lines[-1] += ","
            lines.append(part)
    return "\n".join(lines)


def letters(label: str) -> int:
    """About how many letters wide a label is, formulas as they are set."""
    return len(re.sub(r"\\[a-zA-Z]+|\\,", "x", label).translate(str.maketrans("", "", "${}^_")))


def counted(count: int, noun: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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


def ratio_label(value: float) -> str:
    """A ratio in two decimals, or two digits where that says nothing; an unknown one as a question mark."""
    if not np.isfinite(value):
        return "?" if np.isnan(value) else "∞"
    return f"{value:.2f}" if 0.1 <= value < 10 else number_label(float(f"{value:.2g}"))


def value_labels(axis: Axis, runs: pd.DataFrame) -> dict[Any, str]:
    """How each value of an axis is written, in order: numbers from the smallest, others as they come.

    A model size is written as its parameters.
    """
    numbers = numbers_of(axis, runs)
    if axis.coordinate != axis.column:
        return {value: count_label(number) for value, number in numbers.items()}
    return {value: number_label(value) if isinstance(value, float) else text(value) for value in numbers}


def numbers_of(axis: Axis, runs: pd.DataFrame) -> dict[Any, Any]:
    """Each value of an axis, in order, and what stands for it where numbers count: itself, or a size's parameters."""
    first = runs.drop_duplicates(axis.column)
    numbers = dict(zip(first[axis.column].tolist(), first[axis.coordinate].tolist(), strict=True))
    return dict(sorted(numbers.items())) if axis.numeric else numbers


def distance_label(metric: str, space: str) -> str:
    """A distance and the space in which it is taken, which some names say."""
    name = distance_name(metric, space)
    return name if space == "inception" and metric != "sliced_wasserstein" else f"{name} ({space} space)"


def distance_name(metric: str, space: str) -> str:
    """A distance; in Inception space the field has names of its own."""
    match metric, space:
        case "frechet", "inception":
            return "FID"
        case "frechet_infinity", "inception":
            return r"FID$_\infty$"
        case "kid", "inception":
            return "KID"
    return {
        "sliced_wasserstein": "sliced Wasserstein",
        "frechet": "Fréchet distance",
        "frechet_infinity": r"Fréchet distance$_\infty$",
        "kid": "kernel distance",
    }[metric]


def definition_label(definition: str, thresholds: Mapping[str, float]) -> str:
    """A definition of the onset in words, with its threshold."""
    known = ONSETS.get(definition)
    return known.label(thresholds) if known else definition
