"""Numbers of Marion & Wu 2026, digitised from their figures, to compare a reproduction with.

"Understanding diffusion models requires rethinking (again) generalization", arXiv 2605.06077.
The paper prints no table: each number was read off a figure, ±10 %. It gives no error bars and
no seeds. Its pixel scaling, sampling of times, loss weighting and sliced Wasserstein scale are
not known, so of distances only shapes and exponents compare, not values.

The caption of the sweep of N says that the batch size is 16. Its curves agree with the batch
sweep's at 128 and are a factor of eight from those at 16, so it is recorded as 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

import pandas as pd

from ..study.axes import column_of

SOURCE = "Marion & Wu 2026, arXiv 2605.06077"
LABEL = "Marion & Wu 2026, digitised"
TOLERANCE = 0.1  # relative error of reading a number off a figure

DATASET = "cifar10"
FORMULATION = "rectified_flow"
SPACE = "inception"  # in which the paper takes its distances

# What other axes of a grid have to be for runs to be the paper's: Adam at a constant rate, uniform times and a U-Net.
# Where an option is off, or is one of another network's, the paper says nothing of it, and it changes nothing.
SETTINGS: Mapping[str, Any] = {
    "network.kind": "unet",
    "network.channel_multipliers": "[1, 2, 4]",
    "network.blocks": 3,
    "network.attention_levels": "[1, 2]",
    "network.head_channels": 64,
    "network.embedding": 512,
    "network.dropout": 0,
    "formulation.name": FORMULATION,
    "formulation.label_dropout": 0,
    "formulation.guidance": 0,
    "training.optimizer": "adam",
    "training.weight_decay": 0,
    "training.momentum": 0,
    "training.warmup_steps": 0,
    "training.schedule": "constant",
    "training.flip": False,
    "training.time_sampling": "uniform",
}
_SETTINGS = {column_of(name): value for name, value in SETTINGS.items()}

SAME_PARAMETERS = 1e-3  # relative difference of P within which two networks count as the same
SAME = 1e-6  # of other numbers: rounding

Bound = Literal["exact", "at most", "more than", "never"]


@dataclass(frozen=True)
class Point:
    """A point of the paper's grid."""

    train_size: int
    parameters: int
    batch_size: int
    learning_rate: float

    def is_at(self, run: Mapping[Any, Any]) -> bool:
        """Whether a row of the table ``runs`` is at this point, on the paper's dataset and trained as the paper trains.

        Axes that the grid does not have are none of the row's; of them the config speaks. Any training set of the
        size is as good as another.
        """
        trained_alike = all(run[column] == value for column, value in _SETTINGS.items() if column in run)
        return (
            trained_alike
            and run["dataset"] == DATASET
            and all(
                abs(run[axis] / value - 1) <= (SAME_PARAMETERS if axis == "parameters" else SAME)
                for axis, value in vars(self).items()
            )
        )


@dataclass(frozen=True)
class Number:
    """One digitised number.

    Attributes:
        sweep: the axis that the figure sweeps: train_size, batch_size, learning_rate or parameters.
        point: where on the grid.
        quantity: a definition of the onset (value in steps), ``first_minimum`` or ``highest``
            of the sliced Wasserstein distance, or ``lowest_test_loss``.
        value: the number; NaN where the run never reached it (``bound`` is ``never``).
        threshold: of the definition of the onset, where it has one.
        step: where a distance or loss was read.
        bound: what the figure says of the number: "at most" where it may lie before the first
            evaluation, "more than" where the curve ends before it.
        tolerance: its relative error.
        source: where it comes from.
    """

    sweep: str
    point: Point
    quantity: str
    value: float
    threshold: float | None = None
    step: float | None = None
    bound: Bound = "exact"
    tolerance: float = TOLERANCE
    source: str = SOURCE


@dataclass(frozen=True)
class Exponent:
    """An exponent k in quantity ∝ axis ** k that digitised numbers imply; the paper fits none."""

    sweep: str
    quantity: str
    value: float
    threshold: float | None = None
    source: str = SOURCE


# The point around which each axis is swept.
_BASE = Point(2048, 92_670_610, 16, 1e-4)
_BASES = {
    "train_size": replace(_BASE, batch_size=128),
    "batch_size": _BASE,
    "parameters": _BASE,
    "learning_rate": _BASE,
}
_P = {3: 2_926_690, 8: 7_929_010, 26: 25_751_890, 93: 92_670_610, 201: 201_286_610}


def _read(
    sweep: str,
    quantity: str,
    values: Mapping[float, float],
    threshold: float | None = None,
    steps: Mapping[float, float] | None = None,
    bounds: Mapping[float, Bound] | None = None,
) -> list[Number]:
    """The numbers of one curve of a figure, by the value of the swept axis."""
    numbers = []
    for at, value in values.items():
        changed: dict[str, Any] = {sweep: at}
        point = replace(_BASES[sweep], **changed)
        step, bound = (steps or {}).get(at), (bounds or {}).get(at, "exact")
        numbers.append(Number(sweep, point, quantity, value, threshold, step, bound))
    return numbers


NUMBERS: tuple[Number, ...] = (
    # Training images, 93 M parameters, learning rate 1e-4
    *_read(
        "train_size",
        "test_loss_minimum",
        {2048: 1.0e3, 4096: 2.8e3, 8192: 4.9e3, 16384: 1.1e4},
        bounds={2048: "at most"},
    ),
    *_read(
        "train_size",
        "lowest_test_loss",
        {2048: 0.100, 4096: 0.095, 8192: 0.092, 16384: 0.090},
        steps={2048: 1.0e3, 4096: 2.8e3, 8192: 4.9e3, 16384: 1.1e4},
    ),
    *_read("train_size", "loss_gap_absolute", {2048: 2.2e3, 4096: 4.7e3, 8192: 1.0e4, 16384: 2.5e4}, 0.02),
    *_read("train_size", "loss_gap_absolute", {2048: 2.8e3, 4096: 6.4e3, 8192: 1.5e4, 16384: 4.0e4}, 0.05),
    *_read(
        "train_size",
        "sscd_score",
        {2048: 9.9e3, 4096: 2.4e4, 8192: 6.1e4, 16384: 7e4},
        0.05,
        bounds={16384: "more than"},
    ),
    *_read(
        "train_size",
        "sscd_score",
        {2048: 3.0e4, 4096: 1.2e5, 8192: nan, 16384: nan},
        0.5,
        bounds={8192: "never", 16384: "never"},
    ),
    *_read(
        "train_size",
        "first_minimum",
        {2048: 30.6, 4096: 14.1, 8192: 7.4, 16384: 4.8},
        steps={2048: 2.0e3, 4096: 4.0e3, 8192: 7.0e3, 16384: 1.2e4},
    ),
    *_read(
        "train_size", "highest", {2048: 95.7, 4096: 92.5, 8192: 82.0}, steps={2048: 1.1e4, 4096: 4.5e4, 8192: 1.4e5}
    ),
    # Batch size, 2048 images
    *_read("batch_size", "loss_gap_absolute", {16: 2.2e4, 32: 9.8e3, 64: 4.9e3, 128: 2.7e3}, 0.05),
    *_read("batch_size", "first_minimum", {16: 16.2, 32: 21.1, 64: 25.7, 128: 34.0}),
    # Parameters, 2048 images; the smallest model's gap never opens that far
    *_read(
        "parameters",
        "loss_gap_absolute",
        {_P[3]: nan, _P[8]: 8.8e4, _P[26]: 3.2e4, _P[93]: 2.3e4, _P[201]: 2.4e4},
        0.05,
        bounds={_P[3]: "never"},
    ),
    *_read("parameters", "first_minimum", {_P[3]: 31.0, _P[8]: 25.0, _P[93]: 15.0, _P[201]: 13.5}),
    # Learning rate, 2048 images
    *_read("learning_rate", "loss_gap_absolute", {1e-5: 2.7e4, 5e-5: 2.1e4, 1e-4: 2.2e4, 4e-4: 7.3e4}, 0.05),
    *_read("learning_rate", "first_minimum", {1e-5: 38.6, 5e-5: 23.8, 1e-4: 16.6, 4e-4: 13.2}),
)

# What its numbers imply, to hold our own fits against
EXPONENTS: tuple[Exponent, ...] = (
    Exponent("train_size", "loss_gap_absolute", 1.17, 0.02),
    Exponent("train_size", "loss_gap_absolute", 1.28, 0.05),
    Exponent("train_size", "test_loss_minimum", 0.96),
    Exponent("train_size", "sscd_score", 1.3, 0.05),
    Exponent("train_size", "first_minimum", -0.89),
    Exponent("batch_size", "loss_gap_absolute", -1.00, 0.05),
    Exponent("batch_size", "sscd_score", -0.85, 0.05),
    Exponent("batch_size", "first_minimum", 0.36),
)


def exponent(sweep: str, quantity: str, threshold: float | None = None) -> float:
    """The exponent of a quantity of `EXPONENTS` along an axis; ``threshold`` is that of an onset."""
    asked = (sweep, quantity, threshold)
    return next(known.value for known in EXPONENTS if (known.sweep, known.quantity, known.threshold) == asked)


def onsets(
    runs: pd.DataFrame, sweep: str, definition: str, threshold: float | None, formulation: str | None
) -> list[Number]:
    """The paper's onsets at the points of these runs, under the same definition and threshold.

    Args:
        runs: the rows of the table ``runs`` that a figure shows.
        sweep: the axis along which they vary, as `Number.sweep`.
        definition: of the onset.
        threshold: of that definition; none where it has none.
        formulation: name of the formulation that the runs are trained with, unless that is an axis;
            None where all of them are trained otherwise than the paper's.

    Returns:
        What can be drawn: none without a number, and none for other data, another formulation
        or another network.
    """
    return [number for number in _at(runs, sweep, formulation) if _is(number, definition, threshold)]


def first_minima(runs: pd.DataFrame, sweep: str, definition: str, space: str, formulation: str | None) -> list[Number]:
    """The paper's first minimum of the sliced Wasserstein distance at the points of these runs.

    It is the smallest distance up to the onset under every definition but the minimum of the
    test loss, which comes first; and the paper knows no other space than its own.

    Args:
        runs, sweep, formulation: as in `onsets`.
        definition: of the onset up to which the runs' peak fidelity is taken.
        space: feature space in which it is taken.
    """
    if definition == "test_loss_minimum" or space != SPACE:
        return []
    return [number for number in _at(runs, sweep, formulation) if _is(number, "first_minimum", None)]


def scores(runs: pd.DataFrame, sweep: str, formulation: str | None) -> list[tuple[str, float, float]]:
    """Where the paper's curves of the SSCD score of these runs pass a level.

    Args:
        runs, sweep, formulation: as in `onsets`.

    Returns:
        For each number: a run's id, the step, and the score there.
    """
    numbers = [number for number in _at(runs, sweep, formulation) if number.quantity == "sscd_score"]
    return [
        (run["run_id"], number.value, number.threshold or 0.0)
        for number in numbers
        if number.bound == "exact"
        for run in runs.drop_duplicates(sweep).to_dict("records")
        if number.point.is_at(run)
    ]


def _at(runs: pd.DataFrame, sweep: str, formulation: str | None) -> list[Number]:
    """The paper's numbers of one sweep at the points of these runs."""
    if formulation is None or (formulation != FORMULATION and "formulation_name" not in runs):
        return []
    rows = runs.to_dict("records")
    return [
        number
        for number in NUMBERS
        if number.sweep == sweep and number.bound != "never" and any(map(number.point.is_at, rows))
    ]


def _is(number: Number, quantity: str, threshold: float | None) -> bool:
    if number.quantity != quantity or (number.threshold is None) != (threshold is None):
        return False
    return threshold is None or number.threshold is None or abs(threshold / number.threshold - 1) <= SAME
