"""Expands a grid into runs, chooses among them, and groups them into packs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .identity import run_id, trajectory_parameters
from .run import AXES, Run
from .schedule import evaluation_steps

Point = dict[str, Any]


def expand(grid: Mapping[str, Any]) -> Iterator[Point]:
    """The distinct points of a grid, in the order they are written.

    Args:
        grid: ``products``, a list of mappings from axis to list of values, and ``base``,
            the value of each axis that a product leaves out.

    Yields:
        Mappings from every axis to one value.
    """
    seen = set()
    for product in grid["products"]:
        values = [product.get(axis, [grid["base"].get(axis)]) for axis in AXES]
        for combination in itertools.product(*values):
            # YAML may spell one number in several ways: 1, 1.0, 1.0e-3, 0.001
            point = {
                axis: float(value) if axis == "learning_rate" else int(value)
                for axis, value in zip(AXES, combination, strict=True)
            }
            key = tuple(point.values())
            if key not in seen:
                seen.add(key)
                yield point


def choices(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a resolved configuration that choose among the runs of its grid.

    Yields:
        Where it stands (empty for the study itself, the name of the substudy in use with a dot
        behind it), and a mapping with ``only`` and ``exclude``, either of which may be missing.
    """
    yield "", config
    if "substudy" in config:
        name = config["substudy"]
        yield f"substudies.{name}.", config["substudies"][name]


def chosen(point: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether a point of the grid is kept: each axis of ``only`` has one of its values, and not so with ``exclude``."""
    only, exclude = choice.get("only"), choice.get("exclude")
    return (only is None or _matches(point, only)) and not (exclude is not None and _matches(point, exclude))


def _matches(point: Mapping[str, Any], values: Mapping[str, Sequence[float]]) -> bool:
    return all(point[axis] in wanted for axis, wanted in values.items())


def runs(config: Mapping[str, Any]) -> list[Run]:
    """The runs that a resolved configuration chooses of its grid, each with its run id."""
    shared = trajectory_parameters(config)
    filters = [choice for _, choice in choices(config)]
    result = []
    for point in expand(config["grid"]):
        if not all(chosen(point, choice) for choice in filters):
            continue
        schedule = evaluation_steps(
            config["training"]["budget"], config["evaluation"], point["train_size"], point["batch_size"]
        )
        result.append(Run(run_id=run_id(shared, point), **point, max_steps=schedule[-1]))
    return result


def packs(all_runs: Sequence[Run], packed_axes: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs by the axes that are not packed.

    Returns:
        Job path, such as ``train_size=256/base_channels=16/batch_size=32``, to its runs.
    """
    path_axes = [axis for axis in AXES if axis not in packed_axes]
    grouped: dict[str, list[Run]] = {}
    for run in all_runs:
        path = "/".join(f"{axis}={getattr(run, axis)!r}" for axis in path_axes) or "all"
        grouped.setdefault(path, []).append(run)
    return grouped
