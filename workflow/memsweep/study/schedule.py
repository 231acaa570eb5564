"""When a run is evaluated, and so where it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def steps_per_unit(unit: str, train_size: int, batch_size: int) -> float:
    """Optimiser steps in one unit of the budget: 1 for ``steps``, N / B for ``epochs``."""
    return train_size / batch_size if unit == "epochs" else 1.0


def evaluation_steps(
    budget: Mapping[str, float], evaluation: Mapping[str, Any], train_size: int, batch_size: int
) -> list[int]:
    """The steps at which a run is evaluated, evenly spaced on a logarithmic axis.

    The points are 10 ** (k / per_decade) units of the budget for whole k, from ``first``
    up to the budget. They do not depend on the budget itself, so a longer budget adds
    points and moves none. A run ends at its last point: training past it would be seen
    by nobody.

    Args:
        budget: one entry, ``{"epochs": ...}`` or ``{"steps": ...}``.
        evaluation: ``first`` (in the budget's unit) and ``per_decade``.
        train_size: training images N.
        batch_size: images per step B.

    Returns:
        Increasing steps, each at least 1; empty when ``first`` exceeds the budget.
    """
    return sorted(_points(budget, evaluation, train_size, batch_size))


def sampled_steps(
    budget: Mapping[str, float], evaluation: Mapping[str, Any], train_size: int, batch_size: int
) -> set[int]:
    """Those of `evaluation_steps` at which images are generated: the k that ``sample_every`` divides."""
    points = _points(budget, evaluation, train_size, batch_size)
    every = evaluation.get("sample_every", 1)
    return {step for step, numbers in points.items() if any(k % every == 0 for k in numbers)}


def _points(
    budget: Mapping[str, float], evaluation: Mapping[str, Any], train_size: int, batch_size: int
) -> dict[int, list[int]]:
    """Each step of the schedule, with the k that lead to it: several where steps are few."""
    (unit, length), *_ = budget.items()
    scale = steps_per_unit(unit, train_size, batch_size)
    per_decade = evaluation["per_decade"]
    # The slack absorbs rounding, so that 1000 is a point of every per_decade.
    first = math.ceil(per_decade * math.log10(evaluation["first"]) - 1e-9)
    last = math.floor(per_decade * math.log10(length) + 1e-9)
    points: dict[int, list[int]] = {}
    for k in range(first, last + 1):
        points.setdefault(max(1, round(scale * 10 ** (k / per_decade))), []).append(k)
    return points
